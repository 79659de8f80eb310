# UniFormer-B on Kinetics-400, 8 frames, every eighth: 8 GPUs x 8 clips, 100 epochs.
_base_ = 'uniformer-small_imagenet1k-pre_8x8x1_kinetics400-rgb.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))

train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=64)
base_lr = 2e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
