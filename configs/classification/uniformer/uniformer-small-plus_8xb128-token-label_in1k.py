# UniFormer-S-dagger on ImageNet-1K with token labeling: heads of 64 channels, the second release.
_base_ = 'uniformer-small_8xb128-token-label_in1k.py'

model = dict(backbone=dict(arch='small_plus'))
