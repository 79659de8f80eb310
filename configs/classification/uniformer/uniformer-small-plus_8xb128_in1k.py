# UniFormer-S-dagger, which has overlapping patch embeddings, on ImageNet-1K: heads of 64 channels, the second release.
_base_ = 'uniformer-small_8xb128_in1k.py'

model = dict(backbone=dict(arch='small_plus'))
