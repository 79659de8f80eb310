# For testing: Semantic FPN trained with global attention, run with windows of 32 tokens (512 pixels) in all of stage 3.
_base_ = 'uniformer-small_fpn_8xb4-80k_ade20k-512x512.py'

model = dict(backbone=dict(attention='window', window_size=32))
