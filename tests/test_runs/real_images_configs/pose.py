# TopDown heatmaps, 256x192, made small and trained until it knows the persons of four images.
_base_ = '../../../configs/pose/uniformer/td-hm_uniformer-small_8xb128-210e_coco-256x192.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 4, 1], embed_dims=[32, 64, 96, 128], head_dim=32, mlp_ratio=3),
        drop_path_rate=0.,
        init_cfg=None),
    head=dict(in_channels=128, deconv_out_channels=(64, 64, 64)))

train_pipeline = _base_.train_pipeline
train_pipeline[3].prob = 0.  # RandomHalfBody
train_pipeline[4].update(scale_factor=(0.9, 1.1), rotate_factor=10.)  # RandomBBoxTransform
train_dataloader = dict(
    batch_size=16, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)

# An epoch is one step with all persons.
steps = 220
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=5, norm_type=2))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=20, end=steps, by_epoch=False)
]
train_cfg = dict(max_epochs=steps, val_interval=steps)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=steps))
randomness = dict(seed=0)
