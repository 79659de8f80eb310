# For testing: UPerNet trained with global attention, run with windows of 32 tokens (512 pixels) in 3 of 4 blocks.
_base_ = 'uniformer-small_upernet_8xb2-160k_ade20k-512x512.py'

model = dict(backbone=dict(attention='hybrid', window_size=32))
