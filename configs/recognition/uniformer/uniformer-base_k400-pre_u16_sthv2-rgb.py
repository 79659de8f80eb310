# UniFormer-B of Kinetics-400 on Something-Something V2, 16 frames: 8 GPUs x 5 clips.
_base_ = 'uniformer-small_k400-pre_u16_sthv2-rgb.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.4,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/'
                       'uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-157c2e66.pth')))

train_dataloader = dict(batch_size=5)
auto_scale_lr = dict(base_batch_size=40)
base_lr = 2.5e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
