# UniFormer-L, which has layer scale, on ImageNet-1K with token labeling.
_base_ = 'uniformer-small_8xb128-token-label_in1k.py'

model = dict(backbone=dict(arch='large', drop_path_rate=0.4), head=dict(in_channels=640))

base_lr = 1.2e-3
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
