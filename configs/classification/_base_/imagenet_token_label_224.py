# ImageNet-1K at 224 pixels with the label maps of the token-labeling paper (arXiv 2104.10858), which move with their
# images. No repeated augmentation, no mixing of images.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'

# A folder for each class and in it a .pt file for each training image; the README says where to get them.
token_label_root = 'data/imagenet/label_top5_train_nfnet'

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmuniformer.LoadTokenLabel', folder=token_label_root),
    dict(
        type='mmuniformer.TokenLabelAugment',
        transforms=[
            dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(
                type='RandAugment',
                policies='timm_increasing',
                num_policies=2,
                total_level=10,
                magnitude_level=9,
                magnitude_std=0.5,
                hparams=dict(pad_val=[round(x) for x in _base_.bgr_mean], interpolation='bicubic')),
        ]),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=_base_.bgr_mean,
        fill_std=_base_.bgr_std),
    dict(type='mmuniformer.TokenLabelTarget', size=7, num_classes=1000),
    dict(type='PackInputs', algorithm_keys=('token_score', )),
]
# The release's test of these models keeps 90 % of the shorter side.
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 248

train_dataloader = dict(batch_size=128, num_workers=8, drop_last=True, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=128, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=128, num_workers=8, dataset=dict(pipeline=test_pipeline))
