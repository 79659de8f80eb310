# UniFormer-S on Kinetics-400, 8 frames, every eighth: 8 GPUs x 16 clips, 100 epochs.
_base_ = 'uniformer-small_imagenet1k-pre_16x8x1_kinetics400-rgb.py'

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[1].update(clip_len=8)
val_pipeline[1].update(clip_len=8)
test_pipeline[1].update(clip_len=8)
train_dataloader = dict(batch_size=16, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

auto_scale_lr = dict(base_batch_size=128)
base_lr = 4e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
param_scheduler[1].end = 100
train_cfg = dict(max_epochs=100)
