# UniFormer-S of Kinetics-600 on Something-Something V2, 16 frames.
_base_ = 'uniformer-small_k400-pre_u16_sthv2-rgb.py'

model = dict(
    backbone=dict(
        # Only on Google Drive: gdown 1-dqzjm5RZVspWHQLRD4S1vo4_6jyVltb -O checkpoints/uniformer_small_k600_16x4.pth
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_small_k600_16x4.pth')))
