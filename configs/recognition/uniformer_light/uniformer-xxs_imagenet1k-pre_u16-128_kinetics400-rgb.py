# UniFormer-XXS on Kinetics-400, 16 frames of the whole video, 128 pixels: 8 GPUs x 32 clips. In float32: the release's
# light models lost to NaN in mixed precision.
_base_ = [
    '../../_base_/default_runtime_video.py',
    '../../_base_/models/uniformer3d.py',
    '../../_base_/datasets/kinetics400.py',
    '../../_base_/schedules/video_110e.py',
]
custom_imports = dict(
    imports=['mmuniformer', 'mmuniformer.models.heads.video_class_token_head'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        type='mmuniformer.UniFormerLight3D',
        arch='xxs',
        drop_path_rate=0.05,
        out_cls_token=True,
        # Only on Google Drive: gdown 1Cr7uB5hUck1BHioEROWZjfLpYRwg4Zps -O checkpoints/uniformer_xxs_128_in1k.pth
        init_cfg=dict(type='Pretrained', checkpoint='checkpoints/uniformer_xxs_128_in1k.pth')),
    cls_head=dict(type='mmuniformer.ClassTokenI3DHead', in_channels=448))

# One frame from each of 16 segments of the whole video, in the test its middle; 1 clip x 1 crop.
train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
train_pipeline[1] = dict(type='UniformSample', clip_len=16, num_clips=1)
val_pipeline[1] = dict(type='UniformSample', clip_len=16, num_clips=1, test_mode=True)
test_pipeline[1] = dict(type='UniformSample', clip_len=16, num_clips=1, test_mode=True)
train_pipeline[4].transforms[0].policy = 'rand-m5-n2-mstd0.25'
train_pipeline[4].transforms[2].scale = (128, 128)
for pipeline in (val_pipeline, test_pipeline):
    pipeline[3].scale = (-1, 128)
    pipeline[4].crop_size = 128
del pipeline
train_dataloader = dict(batch_size=32, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=32, dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(batch_size=8, dataset=dict(pipeline=test_pipeline))

auto_scale_lr = dict(base_batch_size=256)
base_lr = 8e-4
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=base_lr, betas=(0.9, 0.999), weight_decay=0.1),
    # No weight decay on parameters of one dimension: biases, norms, layer scales.
    paramwise_cfg=dict(flat_decay_mult=0.),
    clip_grad=dict(max_norm=20, norm_type=2))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
