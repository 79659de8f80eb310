# UniFormer-S of Kinetics-400 on Something-Something V1, 16 frames: 8 GPUs x 4 clips, 60 epochs.
_base_ = [
    '../../_base_/default_runtime_video.py',
    '../../_base_/models/uniformer3d.py',
    '../../_base_/datasets/sthv1.py',
    '../../_base_/schedules/video_110e.py',
]

model = dict(
    backbone=dict(
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/'
                       'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-c630a037.pth')),
    cls_head=dict(num_classes=174),
    data_preprocessor=dict(
        blending=dict(augments=[
            dict(type='MixupBlending', alpha=0.8, num_classes=174),
            dict(type='CutmixBlending', alpha=1.0, num_classes=174)
        ])))

base_lr = 2e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
param_scheduler[0].end = 5
param_scheduler[1].update(begin=5, end=60)
train_cfg = dict(max_epochs=60)
