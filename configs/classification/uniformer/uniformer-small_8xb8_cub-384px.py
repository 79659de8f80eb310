# An example of fine-tuning: UniFormer-S of ImageNet-1K on CUB-200-2011 (200 classes) at 384 pixels. Nobody has measured
# it; the rates are of ordinary fine-tuning.
_base_ = [
    '../_base_/uniformer_small.py', 'mmpretrain::_base_/datasets/cub_bs8_384.py', '../_base_/schedule_300e.py',
    '../_base_/default_runtime.py'
]

model = dict(
    backbone=dict(
        # Official weights as they are.
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_small_in1k.pth')),
    head=dict(num_classes=200),
    train_cfg=None)

base_lr = 5e-5
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / base_lr, begin=0, end=5, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=5, end=50, by_epoch=True)
]
custom_hooks = []
train_cfg = dict(max_epochs=50)
auto_scale_lr = dict(base_batch_size=64)
