# MMAction2's runtime; keeps the last three checkpoints and the best.
_base_ = 'mmaction::_base_/default_runtime.py'

default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='auto'))
randomness = dict(seed=0)
