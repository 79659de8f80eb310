# UPerNet on UniFormer-B (hybrid, window 14), 160k iterations: 8 GPUs x 2 images.
_base_ = 'uniformer-base_upernet_8xb2-160k_ade20k-512x512.py'

model = dict(backbone=dict(attention='hybrid', window_size=14))
