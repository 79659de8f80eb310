# UniFormer-S of 224 pixels on ImageNet-1K at 384, with token labeling: 50 epochs at one small learning rate, without
# averaging. Heads of 32 channels, the first release.
_base_ = 'uniformer-small-dim32_8xb128-token-label_in1k.py'

# The whole model: official weights as they are (or a checkpoint of the config above).
# gdown 16wjfeyqQFZ2x9W91EXf0Py1bfv4Fydfr -O checkpoints/uniformer_small_tl_224.pth
model = dict(init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_small_tl_224.pth'))

train_pipeline = _base_.train_pipeline
train_pipeline[2].transforms[0].scale = 384
train_pipeline[4].size = 12
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 426
test_pipeline[2].crop_size = 384
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=64, dataset=dict(pipeline=test_pipeline))

optim_wrapper = dict(optimizer=dict(lr=5e-6, weight_decay=1e-8))
param_scheduler = []
custom_hooks = []
train_cfg = dict(max_epochs=50)
auto_scale_lr = dict(base_batch_size=512)
