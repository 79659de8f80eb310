# A small UniFormer on generated images of ten shapes (mmuniformer.datasets.generated.shapes).
# `make demo TASK=classification` draws the images, trains with this config and tests it; two CPU cores do.
_base_ = '../classification/_base_/default_runtime.py'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

data_root = 'data/demo/classification'
# Arguments of generate_shapes
generator = dict(train=4000, val=400, seed=0, size=64)

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmuniformer.UniFormer',
        arch=dict(depths=[1, 1, 2, 1], embed_dims=[32, 64, 96, 128], head_dim=32, mlp_ratio=3),
        out_norm='BN',
        out_indices=(3, )),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=128,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))
data_preprocessor = dict(num_classes=10, mean=[127.5, 127.5, 127.5], std=[64., 64., 64.], to_rgb=True)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackInputs')
]
test_pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]

train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='CustomDataset', data_root=data_root, data_prefix='train', pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=64,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', data_root=data_root, data_prefix='val', pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1, ))
test_evaluator = val_evaluator

max_epochs = 14
base_lr = 3e-3
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.05),
    paramwise_cfg=dict(flat_decay_mult=0.),
    clip_grad=dict(max_norm=5, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()

env_cfg = dict(cudnn_benchmark=False)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1, save_best=None))
randomness = dict(seed=0)
