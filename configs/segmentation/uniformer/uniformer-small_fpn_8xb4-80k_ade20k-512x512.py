# Semantic FPN on UniFormer-S (global attention), 80k iterations: 8 GPUs x 4 images.
_base_ = [
    '../../_base_/models/fpn_uniformer.py',
    '../../_base_/datasets/ade20k_resize-to-multiple.py',
    '../../_base_/schedules/adamw_cosine_80k_ade20k.py',
    'mmseg::_base_/default_runtime.py',
]
