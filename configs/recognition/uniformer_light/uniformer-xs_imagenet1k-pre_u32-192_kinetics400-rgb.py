# UniFormer-XS on Kinetics-400, 32 frames of the whole video, 192 pixels: 8 GPUs x 16 clips.
_base_ = 'uniformer-xxs_imagenet1k-pre_u32-160_kinetics400-rgb.py'

model = dict(
    backbone=dict(
        arch='xs',
        drop_path_rate=0.1,
        # Only on Google Drive: gdown 1Ce2Dk9-k_-sHt5dXp-gfNOEK37Jdcffv -O checkpoints/uniformer_xs_192_in1k.pth
        init_cfg=dict(checkpoint='checkpoints/uniformer_xs_192_in1k.pth')),
    cls_head=dict(in_channels=512))

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[4].transforms[0].policy = 'rand-m7-n4-mstd0.5-inc1'
train_pipeline[4].transforms[2].scale = (192, 192)
for pipeline in (val_pipeline, test_pipeline):
    pipeline[3].scale = (-1, 192)
    pipeline[4].crop_size = 192
del pipeline
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

auto_scale_lr = dict(base_batch_size=128)
base_lr = 4e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr, weight_decay=0.05))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
