# UniFormer-XS on ImageNet-1K at 224 pixels.
_base_ = 'uniformer-xxs_8xb512_in1k-224px.py'

model = dict(backbone=dict(arch='xs', drop_path_rate=0.1), head=dict(in_channels=512))

# RandAugment m9-mstd0.5-inc1 instead of AutoAugment.
train_pipeline = _base_.train_pipeline
train_pipeline[3] = dict(
    type='RandAugment',
    policies='timm_increasing',
    num_policies=2,
    total_level=10,
    magnitude_level=9,
    magnitude_std=0.5,
    hparams=dict(pad_val=[round(x) for x in _base_.bgr_mean], interpolation='bicubic'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

base_lr = 4e-3  # 5e-4 x 4096 / 512
optim_wrapper = dict(optimizer=dict(lr=base_lr, weight_decay=0.05))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
