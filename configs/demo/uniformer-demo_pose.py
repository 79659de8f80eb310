# A small hybrid UniFormer finds the 17 keypoints of generated figures (mmuniformer.datasets.generated.keypoints).
# `make demo TASK=pose` draws the figures, trains with this config and tests it; two CPU cores do. Head, loss, runtime
# and the names of the files are MMPose's for COCO.
_base_ = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

data_root = 'data/demo/pose'
# Arguments of generate_keypoints
generator = dict(train=1600, val=200, seed=0, size=(128, 160))

# Unbiased coordinates: a map of 24 x 32 has a cell for four pixels, and keypoints have to be told to less than one.
codec = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5, blur_kernel_size=7)

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormer',
        arch=dict(depths=[1, 1, 4, 1], embed_dims=[16, 32, 64, 128], head_dim=32, mlp_ratio=3),
        attention='hybrid',
        window_size=4),
    # All four maps, brought to the first one's size: the last one's 3 x 4 cells alone would be few for 17 places.
    neck=dict(type='FeatureMapProcessor', concat=True),
    head=dict(
        in_channels=16 + 32 + 64 + 128,
        deconv_out_channels=None,
        conv_out_channels=(64, 64),
        conv_kernel_sizes=(1, 3),
        decoder=dict(_delete_=True, **codec)),
    test_cfg=dict(shift_heatmap=False))

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    # A figure in a mirror is a figure with its sides swapped: only its face tells them.
    dict(type='RandomFlip', direction='horizontal'),
    dict(type='RandomBBoxTransform', shift_factor=0.08, scale_factor=(0.8, 1.25), rotate_factor=40),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='GenerateTarget', encoder=codec),
    dict(type='PackPoseInputs')
]
val_pipeline = [
    dict(type='LoadImage'),
    dict(type='GetBBoxCenterScale'),
    dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=True),
    dict(type='PackPoseInputs')
]
train_dataloader = dict(
    batch_size=32, num_workers=1, drop_last=True, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=50, num_workers=1, dataset=dict(data_root=data_root, bbox_file=None, pipeline=val_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='CocoMetric')  # of the data set's own annotation file
test_evaluator = val_evaluator

max_epochs = 16
base_lr = 2e-3
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=base_lr, weight_decay=0.05),
    paramwise_cfg=dict(flat_decay_mult=0.),
    clip_grad=dict(max_norm=5, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=max_epochs, val_interval=2)

default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=1, max_keep_ckpts=1, save_best=None, rule=None))
randomness = dict(seed=0)
