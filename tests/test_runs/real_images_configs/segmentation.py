# Semantic FPN, 80k, made small and trained until it knows four images.
_base_ = '../../../configs/segmentation/uniformer/uniformer-small-h14_fpn_8xb4-80k_ade20k-512x512.py'

model = dict(
    data_preprocessor=dict(size=(192, 192)),
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 4, 1], embed_dims=[32, 64, 96, 128], head_dim=32, mlp_ratio=3),
        drop_path_rate=0.,
        init_cfg=None),
    neck=dict(in_channels=[32, 64, 96, 128], out_channels=64),
    decode_head=dict(in_channels=[64, 64, 64, 64], channels=64, dropout_ratio=0.))

scale = (1024, 192)
train_pipeline = _base_.train_pipeline
train_pipeline[2].update(scale=scale, ratio_range=(1., 1.5))
train_pipeline[3].crop_size = (192, 192)
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = scale
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

steps = 200
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=20, end=steps, by_epoch=False)
]
train_cfg = dict(max_iters=steps, val_interval=steps)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=steps))
randomness = dict(seed=0)
