# UniFormer-B with layer scale on ImageNet-1K.
_base_ = 'uniformer-base_8xb128_in1k.py'

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, depths=[5, 8, 20, 7], embed_dims=[64, 128, 320, 512], head_dim=64, layer_scale=1e-6)))
