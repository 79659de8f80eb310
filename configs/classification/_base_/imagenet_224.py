# ImageNet-1K at 224 pixels with repeated augmentation (DeiT): every image three times, each a third of the epochs.
# MMPretrain's recipe of Swin has the rest: bicubic crops, RandAugment m9-mstd0.5-inc1, random erasing 0.25, and in the
# test the centre of 256 pixels. The recipes also name a colour jitter of 0.4, which the release does not use beside
# RandAugment.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'

train_dataloader = dict(
    batch_size=128, num_workers=8, drop_last=True, sampler=dict(type='RepeatAugSampler', shuffle=True))
val_dataloader = dict(batch_size=192, num_workers=8)
test_dataloader = dict(batch_size=192, num_workers=8)
