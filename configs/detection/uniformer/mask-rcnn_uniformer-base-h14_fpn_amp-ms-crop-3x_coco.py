# Mask R-CNN on UniFormer-B (hybrid, window 14), 36 epochs, multi-scale: 8 GPUs x 2 images.
_base_ = 'mask-rcnn_uniformer-small-h14_fpn_amp-ms-crop-3x_coco.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.3,
        with_cp=(0, 0, 20, 0),
        init_cfg=dict(checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))
