# UniFormer-S on Kinetics-600, 16 frames, every eighth: 8 GPUs x 4 clips.
_base_ = 'uniformer-small_imagenet1k-pre_16x4x1_kinetics600-rgb.py'

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[1].update(frame_interval=8)
val_pipeline[1].update(frame_interval=8)
test_pipeline[1].update(frame_interval=8)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

auto_scale_lr = dict(base_batch_size=32)
base_lr = 1e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
