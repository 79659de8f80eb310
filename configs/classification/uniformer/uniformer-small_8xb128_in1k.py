# UniFormer-S on ImageNet-1K.
_base_ = [
    '../_base_/uniformer_small.py', '../_base_/imagenet_224.py', '../_base_/schedule_300e.py',
    '../_base_/default_runtime.py'
]
