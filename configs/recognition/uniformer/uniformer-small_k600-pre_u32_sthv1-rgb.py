# UniFormer-S of Kinetics-600 on Something-Something V1, 32 frames.
_base_ = 'uniformer-small_k400-pre_u32_sthv1-rgb.py'

model = dict(
    backbone=dict(
        drop_path_rate=0.3,
        # Only on Google Drive: gdown 1-dqzjm5RZVspWHQLRD4S1vo4_6jyVltb -O checkpoints/uniformer_small_k600_16x4.pth
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_small_k600_16x4.pth')))
