# Semantic FPN on UniFormer-B (global attention), 80k iterations: 8 GPUs x 4 images.
_base_ = 'uniformer-small_fpn_8xb4-80k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.2,
        init_cfg=dict(checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))
