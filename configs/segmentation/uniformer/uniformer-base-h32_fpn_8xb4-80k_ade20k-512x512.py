# For testing: Semantic FPN trained with global attention, run with windows of 32 tokens (512 pixels) in 3 of 4 blocks.
_base_ = 'uniformer-base_fpn_8xb4-80k_ade20k-512x512.py'

model = dict(backbone=dict(attention='hybrid', window_size=32))
