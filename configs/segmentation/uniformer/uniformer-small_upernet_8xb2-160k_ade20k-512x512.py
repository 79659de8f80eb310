# UPerNet on UniFormer-S (global attention), 160k iterations: 8 GPUs x 2 images.
_base_ = [
    '../../_base_/models/upernet_uniformer.py',
    '../../_base_/datasets/ade20k_ms-test.py',
    '../../_base_/schedules/adamw_poly_160k_ade20k.py',
    'mmseg::_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=2)
