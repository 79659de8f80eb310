# UniFormer-B of 224 pixels on ImageNet-1K at 384, with token labeling. Heads of 32 channels, the first release.
_base_ = 'uniformer-small-dim32_8xb64-token-label_in1k-384px.py'

# gdown 16nsTjawiYZuoCHBRarr58zA7vCFcmQmL -O checkpoints/uniformer_base_tl_224.pth
model = dict(
    init_cfg=dict(checkpoint='checkpoints/uniformer_base_tl_224.pth'),
    backbone=dict(arch=dict(depths=[5, 8, 20, 7]), drop_path_rate=0.3))
