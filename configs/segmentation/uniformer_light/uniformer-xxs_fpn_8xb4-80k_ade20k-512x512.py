# Semantic FPN on UniFormer-XXS, 80k iterations: 8 GPUs x 4 images.
_base_ = [
    '../../_base_/models/fpn_uniformer.py',
    '../../_base_/datasets/ade20k_resize-to-multiple.py',
    '../../_base_/schedules/adamw_cosine_80k_ade20k.py',
    'mmseg::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormerLight',
        arch='xxs',
        # Only on Google Drive: gdown 1Cw9r_3c30N-esFI8RFYa6rQXJrr1rAHY -O checkpoints/uniformer_xxs_224_in1k.pth
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_xxs_224_in1k.pth')),
    neck=dict(in_channels=[56, 112, 224, 448]))
