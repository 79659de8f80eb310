# UniFormer-S-dagger of 224 pixels on ImageNet-1K at 384, with token labeling. Heads of 32 channels, the first release.
_base_ = 'uniformer-small-dim32_8xb64-token-label_in1k-384px.py'

# gdown 16rgtEVEeX3jVTQaiLsojBQP5sRaj_2aZ -O checkpoints/uniformer_small_plus_tl_224.pth
model = dict(
    init_cfg=dict(checkpoint='checkpoints/uniformer_small_plus_tl_224.pth'),
    backbone=dict(arch=dict(depths=[3, 5, 9, 3], conv_stem=True)))
