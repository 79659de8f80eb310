# UniFormer-S-dagger on ImageNet-1K with heads of 32 channels, the first release.
_base_ = 'uniformer-small_8xb128_in1k.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, depths=[3, 5, 9, 3], embed_dims=[64, 128, 320, 512], head_dim=32, conv_stem=True)))
