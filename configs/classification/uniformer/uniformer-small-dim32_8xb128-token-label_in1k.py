# UniFormer-S on ImageNet-1K with token labeling: heads of 32 channels, the first release.
_base_ = 'uniformer-small_8xb128-token-label_in1k.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, depths=[3, 4, 8, 3], embed_dims=[64, 128, 320, 512], head_dim=32)))
