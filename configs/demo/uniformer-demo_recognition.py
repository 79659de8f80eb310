# A small UniFormer3D on generated videos whose classes differ only in motion (mmuniformer.datasets.generated.motion).
# `make demo TASK=recognition` writes the videos, trains with this config and tests it; two CPU cores do.
_base_ = '../_base_/default_runtime_video.py'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

data_root = 'data/demo/recognition'
# Arguments of generate_motion
generator = dict(train=1600, val=240, seed=0, size=96, frames=24, fps=12)

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='mmuniformer.UniFormer3D',
        arch=dict(depths=[1, 1, 2, 1], embed_dims=[16, 32, 64, 128], head_dim=32, mlp_ratio=3),
        # Every patch embedding looks at three frames: this learns motion in fewer epochs than one frame does.
        temporal_kernel=3),
    cls_head=dict(
        type='I3DHead', in_channels=128, num_classes=8, spatial_type='avg', dropout_ratio=0., average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        format_shape='NCTHW'))

# Seen in a mirror, left is right and clockwise is anticlockwise.
train_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(type='SampleFrames', clip_len=8, frame_interval=2),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='Flip', direction='horizontal', flip_label_map={0: 1, 1: 0, 4: 5, 5: 4}),
    dict(type='Flip', direction='vertical', flip_label_map={2: 3, 3: 2, 4: 5, 5: 4}),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
val_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(type='SampleFrames', clip_len=8, frame_interval=2, test_mode=True),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
test_pipeline = val_pipeline

train_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='VideoDataset', data_root=data_root, ann_file='train.txt', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=32,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='VideoDataset', data_root=data_root, ann_file='val.txt', pipeline=val_pipeline, test_mode=True))
test_dataloader = val_dataloader

val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator

max_epochs = 14
base_lr = 2e-3
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.05),
    paramwise_cfg=dict(flat_decay_mult=0.),
    clip_grad=dict(max_norm=20, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=2, save_best=None))
randomness = dict(seed=0)
