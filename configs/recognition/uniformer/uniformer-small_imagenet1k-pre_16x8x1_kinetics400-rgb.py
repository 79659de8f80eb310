# UniFormer-S on Kinetics-400, 16 frames, every eighth.
_base_ = 'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py'

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[1].update(frame_interval=8)
val_pipeline[1].update(frame_interval=8)
test_pipeline[1].update(frame_interval=8)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
