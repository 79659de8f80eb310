# UniFormer-S on Kinetics-400, 32 frames, every fourth.
_base_ = 'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py'

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[1].update(clip_len=32)
val_pipeline[1].update(clip_len=32)
test_pipeline[1].update(clip_len=32)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
