# Semantic FPN on UniFormer-XS, 80k iterations: 8 GPUs x 4 images.
_base_ = 'uniformer-xxs_fpn_8xb4-80k_ade20k-512x512.py'

model = dict(
    backbone=dict(
        arch='xs',
        drop_path_rate=0.1,
        # Only on Google Drive: gdown 1CwQ91fjuAu3Rhn3zV4vjAmQ8v36AfYPT -O checkpoints/uniformer_xs_224_in1k.pth
        init_cfg=dict(checkpoint='checkpoints/uniformer_xs_224_in1k.pth')),
    neck=dict(in_channels=[64, 128, 256, 512]))
