# UPerNet on UniFormer-B (global attention), 160k iterations: 8 GPUs x 2 images.
_base_ = 'uniformer-small_upernet_8xb2-160k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.4,
        init_cfg=dict(checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))
