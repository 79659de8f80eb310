# Mask R-CNN on UniFormer-S (hybrid, window 14), 12 epochs: 8 GPUs x 2 images.
_base_ = [
    '../../_base_/models/mask-rcnn_uniformer_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    '../../_base_/schedules/adamw_1x_coco.py',
    'mmdet::_base_/default_runtime.py',
]
