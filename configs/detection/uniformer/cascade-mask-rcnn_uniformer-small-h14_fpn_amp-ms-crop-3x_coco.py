# Cascade Mask R-CNN on UniFormer-S (hybrid, window 14), 36 epochs, multi-scale: 8 GPUs x 2 images.
_base_ = [
    '../../_base_/models/cascade-mask-rcnn_uniformer_fpn.py',
    '../../_base_/datasets/coco_instance_ms-crop.py',
    '../../_base_/schedules/adamw_3x_coco.py',
    'mmdet::_base_/default_runtime.py',
]
