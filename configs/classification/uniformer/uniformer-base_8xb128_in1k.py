# UniFormer-B on ImageNet-1K.
_base_ = 'uniformer-small_8xb128_in1k.py'

model = dict(backbone=dict(arch='base', drop_path_rate=0.3))

base_lr = 8e-4  # 4e-4 x 1024 / 512
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
