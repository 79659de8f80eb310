# UniFormer-S on ImageNet-1K with token labeling: heads of 64 channels, the second release.
_base_ = [
    '../_base_/uniformer_small_token_label.py', '../_base_/imagenet_token_label_224.py', '../_base_/schedule_300e.py',
    '../_base_/default_runtime.py'
]

base_lr = 1.6e-3
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
custom_hooks = [dict(type='EMAHook', momentum=8e-5, update_buffers=True, priority='ABOVE_NORMAL')]
randomness = dict(seed=42)
