# Mask R-CNN on UniFormer-XXS, 12 epochs: 8 GPUs x 2 images. In float32: the release's light models lost to NaN in mixed
# precision.
_base_ = [
    '../../_base_/models/mask-rcnn_uniformer_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    '../../_base_/schedules/adamw_1x_coco.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormerLight',
        arch='xxs',
        # Only on Google Drive: gdown 1Cw9r_3c30N-esFI8RFYa6rQXJrr1rAHY -O checkpoints/uniformer_xxs_224_in1k.pth
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_xxs_224_in1k.pth')),
    neck=dict(in_channels=[56, 112, 224, 448]))
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay on the backbone's norms.
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.))))
