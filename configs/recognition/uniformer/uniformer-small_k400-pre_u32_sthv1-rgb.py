# UniFormer-S of Kinetics-400 on Something-Something V1, 32 frames.
_base_ = 'uniformer-small_k400-pre_u16_sthv1-rgb.py'

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[1].update(clip_len=32)
val_pipeline[1].update(clip_len=32)
test_pipeline[1].update(clip_len=32)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
