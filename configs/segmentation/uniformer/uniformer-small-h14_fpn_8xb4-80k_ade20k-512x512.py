# Semantic FPN on UniFormer-S (hybrid, window 14), 80k iterations: 8 GPUs x 4 images.
_base_ = 'uniformer-small_fpn_8xb4-80k_ade20k-512x512.py'

model = dict(backbone=dict(attention='hybrid', window_size=14))
