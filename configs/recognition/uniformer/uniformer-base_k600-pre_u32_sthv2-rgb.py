# UniFormer-B of Kinetics-600 on Something-Something V2, 32 frames.
_base_ = 'uniformer-base_k400-pre_u32_sthv2-rgb.py'

model = dict(
    backbone=dict(
        # Only on Google Drive: gdown 1nBQCBCsCflhZ4OGUoGB3pAkc_GDau7vd -O checkpoints/uniformer_base_k600_16x4.pth
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_base_k600_16x4.pth')))
