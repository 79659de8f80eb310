# MMPretrain's runtime; keeps the last three checkpoints and the best.
_base_ = 'mmpretrain::_base_/default_runtime.py'

default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='auto'))
env_cfg = dict(cudnn_benchmark=True)  # images are of one size
randomness = dict(seed=0)
