# MMAction2's runtime; keeps the last three checkpoints and the best, and leaves out steps that would make weights NaN.
_base_ = 'mmaction::_base_/default_runtime.py'

default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3, save_best='auto'))
randomness = dict(seed=0)
custom_hooks = [dict(type='mmuniformer.NonFiniteHook')]
