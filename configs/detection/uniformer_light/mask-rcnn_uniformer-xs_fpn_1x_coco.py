# Mask R-CNN on UniFormer-XS, 12 epochs: 8 GPUs x 2 images.
_base_ = 'mask-rcnn_uniformer-xxs_fpn_1x_coco.py'

model = dict(
    backbone=dict(
        arch='xs',
        drop_path_rate=0.15,
        # Only on Google Drive: gdown 1CwQ91fjuAu3Rhn3zV4vjAmQ8v36AfYPT -O checkpoints/uniformer_xs_224_in1k.pth
        init_cfg=dict(checkpoint='checkpoints/uniformer_xs_224_in1k.pth')),
    neck=dict(in_channels=[64, 128, 256, 512]))
