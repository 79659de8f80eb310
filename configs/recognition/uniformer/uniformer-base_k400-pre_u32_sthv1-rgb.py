# UniFormer-B of Kinetics-400 on Something-Something V1, 32 frames.
_base_ = 'uniformer-small_k400-pre_u32_sthv1-rgb.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.6,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/'
                       'uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-157c2e66.pth')))
