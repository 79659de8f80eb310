# UniFormer-XXS on ImageNet-1K at 224 pixels.
_base_ = 'uniformer-xxs_8xb512_in1k-128px.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 224
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 256
test_pipeline[2].crop_size = 224
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
