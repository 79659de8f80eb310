# Mask R-CNN of MMDetection on UniFormer-S, stage 3 hybrid with windows of 14 tokens (224 pixels).
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormer',
        arch='small',
        attention='hybrid',
        window_size=14,
        drop_path_rate=0.2,
        # Stage 3 holds most of the activations: its eight blocks are computed again in the backward pass.
        with_cp=(0, 0, 8, 0),
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_small_in1k.pth')),
    neck=dict(in_channels=[64, 128, 320, 512]))
