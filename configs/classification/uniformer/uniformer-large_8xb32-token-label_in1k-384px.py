# UniFormer-L, which has layer scale, of 224 pixels on ImageNet-1K at 384, with token labeling. The release's script
# names S-dagger's model, with another's rates; its weights are of L.
_base_ = 'uniformer-small-dim32_8xb64-token-label_in1k-384px.py'

# gdown 173e2qaJhOwbuC_DbNQSH47Oo_04mSfDj -O checkpoints/uniformer_large_ls_tl_224.pth
model = dict(
    init_cfg=dict(checkpoint='checkpoints/uniformer_large_ls_tl_224.pth'),
    backbone=dict(arch='large', drop_path_rate=0.3),
    head=dict(in_channels=640))

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
test_dataloader = dict(batch_size=32)
auto_scale_lr = dict(base_batch_size=256)
