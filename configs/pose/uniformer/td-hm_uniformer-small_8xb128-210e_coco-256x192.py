# Heatmaps of persons in detected boxes, 256x192, on UniFormer-S (global attention): 8 GPUs x 128 persons. Data, head,
# schedule and test are MMPose's for ResNet-50.
_base_ = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormer',
        arch='small',
        out_indices=(3, ),
        drop_path_rate=0.2,
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_small_in1k.pth')),
    head=dict(in_channels=512))

train_pipeline = _base_.train_pipeline
train_pipeline[4].shift_prob = 0.  # RandomBBoxTransform: the authors scaled and rotated boxes, but did not shift them
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=256)
test_dataloader = dict(batch_size=256)

optim_wrapper = dict(
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-3, betas=(0.9, 0.999), weight_decay=0.01))
auto_scale_lr = dict(base_batch_size=1024)
