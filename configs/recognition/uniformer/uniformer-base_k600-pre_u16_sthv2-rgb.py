# UniFormer-B of Kinetics-600 on Something-Something V2, 16 frames: 8 GPUs x 5 clips.
_base_ = 'uniformer-base_k400-pre_u16_sthv2-rgb.py'

model = dict(
    backbone=dict(
        drop_path_rate=0.5,
        # Only on Google Drive: gdown 1nBQCBCsCflhZ4OGUoGB3pAkc_GDau7vd -O checkpoints/uniformer_base_k600_16x4.pth
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_base_k600_16x4.pth')))
