# UniFormer-XXS with layer scale on Kinetics-400, 4 frames of the whole video, 128 pixels.
_base_ = 'uniformer-xxs_imagenet1k-pre_u16-128_kinetics400-rgb.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            depths=[2, 5, 8, 2],
            embed_dims=[56, 112, 224, 448],
            head_dim=28,
            mlp_ratio=3,
            conv_stem=True,
            # Starts on weights without one.
            layer_scale=0.1)))

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
for pipeline in (train_pipeline, val_pipeline, test_pipeline):
    pipeline[1].clip_len = 4
del pipeline
train_pipeline[4].transforms[0].policy = 'rand'
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

base_lr = 4e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
