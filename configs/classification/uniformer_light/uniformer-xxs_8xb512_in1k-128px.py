# UniFormer-XXS on ImageNet-1K at 128 pixels. In float32: the release's light models lost to NaN in mixed precision.
_base_ = [
    '../_base_/uniformer_xxs.py', '../_base_/imagenet_light_128.py', '../_base_/schedule_300e.py',
    '../_base_/default_runtime.py'
]

base_lr = 3.2e-3  # 4e-4 x 4096 / 512
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=base_lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1),
    paramwise_cfg=dict(flat_decay_mult=0., custom_keys={'cls_token': dict(decay_mult=0.)}))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=1e-6 / base_lr, end=30)
param_scheduler[1].update(begin=30, end=600)
# Decay 0.9999.
custom_hooks = [dict(type='EMAHook', momentum=1e-4, update_buffers=True, priority='ABOVE_NORMAL')]
train_cfg = dict(max_epochs=600)
auto_scale_lr = dict(base_batch_size=4096)
