# UniFormer-B on Kinetics-400, 32 frames, every fourth.
_base_ = 'uniformer-small_imagenet1k-pre_32x4x1_kinetics400-rgb.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))
