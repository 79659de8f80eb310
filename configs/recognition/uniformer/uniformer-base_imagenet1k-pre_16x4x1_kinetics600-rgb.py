# UniFormer-B on Kinetics-600, 16 frames, every fourth: 8 GPUs x 5 clips.
_base_ = 'uniformer-small_imagenet1k-pre_16x4x1_kinetics600-rgb.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))

train_dataloader = dict(batch_size=5)
auto_scale_lr = dict(base_batch_size=40)
base_lr = 1.25e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
