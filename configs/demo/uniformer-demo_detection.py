# Mask R-CNN on a small hybrid UniFormer finds generated shapes that hide parts of each other
# (mmuniformer.datasets.generated.instances). `make demo TASK=detection` draws the images, trains with this config and
# tests it; two CPU cores do. Detector, data set, metric and runtime are those of the configs for COCO, made small.
_base_ = [
    '../_base_/models/mask-rcnn_uniformer_fpn.py',
    'mmdet::_base_/datasets/coco_instance.py',
    'mmdet::_base_/default_runtime.py',
]

data_root = 'data/demo/detection/'
# Arguments of generate_instances
generator = dict(train=800, val=200, seed=0, size=(128, 128))
metainfo = dict(
    classes=('triangle', 'square', 'star', 'arrow', 'ellipse', 'heart'),
    palette=[(220, 20, 60), (30, 110, 255), (255, 190, 0), (0, 190, 90), (190, 60, 230), (0, 200, 220)])

channels = 64
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormer',
        # Four blocks in stage 3: three with windows, one that is global.
        arch=dict(depths=[1, 1, 4, 1], embed_dims=[32, 64, 96, 128], head_dim=32, mlp_ratio=3),
        attention='hybrid',
        window_size=4),
    neck=dict(in_channels=[32, 64, 96, 128], out_channels=channels, num_outs=4),
    rpn_head=dict(
        in_channels=channels,
        feat_channels=channels,
        # Squares of 24, 48, 96 and 192 pixels, and two oblongs of each; the shapes are 20 to 60 pixels long.
        anchor_generator=dict(scales=[6], strides=[4, 8, 16, 32])),
    roi_head=dict(
        # Shapes of 40 pixels and more are pooled from the second map.
        bbox_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1), out_channels=channels, finest_scale=20),
        bbox_head=dict(in_channels=channels, fc_out_channels=256, num_classes=6),
        mask_roi_extractor=dict(
            roi_layer=dict(sampling_ratio=1), out_channels=channels, finest_scale=20),
        mask_head=dict(num_convs=2, in_channels=channels, conv_out_channels=channels, num_classes=6)),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=64))),
    # No threshold: a model that has learned little has an AP too.
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=50), rcnn=dict(score_thr=0., max_per_img=20)))

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackDetInputs')
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    batch_sampler=dict(drop_last=True),
    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=10, num_workers=1, dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator

max_epochs = 6
base_lr = 1e-3
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.05),
    paramwise_cfg=dict(flat_decay_mult=0.),
    clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=1, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=1, end=max_epochs, by_epoch=True, convert_to_iter_based=True)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=2)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

default_hooks = dict(logger=dict(interval=10), checkpoint=dict(max_keep_ckpts=1))
randomness = dict(seed=0)
