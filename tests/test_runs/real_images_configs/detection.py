# Mask R-CNN, 1x, made small and trained until it knows four images.
_base_ = '../../../configs/detection/uniformer/mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco.py'

channels = 64
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 4, 1], embed_dims=[32, 64, 96, 128], head_dim=32, mlp_ratio=3),
        drop_path_rate=0.,
        with_cp=(0, 0, 0, 0),
        init_cfg=None),
    neck=dict(in_channels=[32, 64, 96, 128], out_channels=channels),
    # Images are less than half as large as in the recipe, and so are the anchors.
    rpn_head=dict(in_channels=channels, feat_channels=channels, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels, finest_scale=28),
        bbox_head=dict(in_channels=channels, fc_out_channels=256),
        mask_roi_extractor=dict(out_channels=channels, finest_scale=28),
        mask_head=dict(in_channels=channels, conv_out_channels=channels)),
    train_cfg=dict(rpn_proposal=dict(nms_pre=300, max_per_img=100), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=100)))

scale = (360, 240)
train_pipeline = _base_.train_pipeline
train_pipeline[2].scale = scale
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = scale
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

# An epoch is one step with all four images.
steps = 150
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=10, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=20, end=steps, by_epoch=False)
]
train_cfg = dict(max_epochs=steps, val_interval=steps)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=steps))
randomness = dict(seed=0)
