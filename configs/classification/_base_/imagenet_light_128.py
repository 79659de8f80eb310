# ImageNet-1K at 128 pixels with AutoAugment, without repeated augmentation. The policy is timm's `v0` (of
# EfficientNet's TPU code), which is not the AutoAugment paper's, MMPretrain's `imagenet`.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'

# Where an operation moves the image, the mean colour comes in. (AutoAugment does not pass its `hparams` on.)
fill = dict(pad_val=[round(x) for x in _base_.bgr_mean], interpolation='bicubic')
factor = dict(random_negative_prob=0.)
policies = [
    [dict(type='Equalize', prob=0.8), dict(type='Shear', magnitude=0.12, prob=0.8, direction='vertical', **fill)],
    [dict(type='ColorTransform', magnitude=0.72, prob=0.4, **factor), dict(type='Equalize', prob=0.6)],
    [dict(type='ColorTransform', magnitude=-0.72, prob=0.4, **factor),
     dict(type='Rotate', angle=24., prob=0.6, **fill)],
    [dict(type='Solarize', thr=76, prob=0.8), dict(type='Equalize', prob=0.4)],
    [dict(type='Solarize', thr=51, prob=0.4), dict(type='Solarize', thr=51, prob=0.6)],
    [dict(type='ColorTransform', magnitude=-0.9, prob=0.2, **factor), dict(type='Equalize', prob=0.8)],
    [dict(type='Equalize', prob=0.4), dict(type='SolarizeAdd', magnitude=33, prob=0.8)],
    [dict(type='Shear', magnitude=0.27, prob=0.2, direction='horizontal', **fill),
     dict(type='Rotate', angle=24., prob=0.6, **fill)],
    [dict(type='ColorTransform', magnitude=-0.72, prob=0.6, **factor), dict(type='Equalize', prob=1.)],
    [dict(type='Invert', prob=0.4), dict(type='Rotate', angle=0., prob=0.6, **fill)],
    [dict(type='Equalize', prob=1.), dict(type='Shear', magnitude=0.09, prob=0.6, direction='vertical', **fill)],
    [dict(type='ColorTransform', magnitude=0.36, prob=0.4, **factor), dict(type='Equalize', prob=0.6)],
    [dict(type='Posterize', bits=2, prob=0.4), dict(type='AutoContrast', prob=0.4)],
    [dict(type='Solarize', thr=204, prob=0.6), dict(type='ColorTransform', magnitude=0.72, prob=0.6, **factor)],
    [dict(type='Solarize', thr=102, prob=0.2), dict(type='Rotate', angle=27., prob=0.8, **fill)],
    [dict(type='Rotate', angle=21., prob=1., **fill),
     dict(type='Translate', magnitude=0.405, prob=0.8, direction='vertical', **fill)],
    [dict(type='Shear', magnitude=0., prob=0., direction='horizontal', **fill),
     dict(type='Solarize', thr=102, prob=0.8)],
    [dict(type='Shear', magnitude=0., prob=0.8, direction='vertical', **fill),
     dict(type='ColorTransform', magnitude=-0.18, prob=0.6, **factor)],
    [dict(type='ColorTransform', magnitude=-0.9, prob=1., **factor), dict(type='Rotate', angle=6., prob=0.6, **fill)],
    [dict(type='Equalize', prob=0.8), dict(type='Equalize', prob=0.)],
    [dict(type='Equalize', prob=1.), dict(type='AutoContrast', prob=0.6)],
    [dict(type='Shear', magnitude=0.21, prob=0.4, direction='vertical', **fill),
     dict(type='SolarizeAdd', magnitude=77, prob=0.6)],
    [dict(type='Posterize', bits=0, prob=0.8), dict(type='Solarize', thr=256, prob=0.6)],
    [dict(type='Solarize', thr=204, prob=0.6), dict(type='Equalize', prob=0.6)],
    [dict(type='ColorTransform', magnitude=0.18, prob=0.8, **factor),
     dict(type='Rotate', angle=15., prob=0.4, **fill)],
]
train_pipeline = _base_.train_pipeline
train_pipeline[1].scale = 128
train_pipeline[3] = dict(type='AutoAugment', policies=policies)
del fill, factor, policies
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 146  # 256 / 224 of what is kept
test_pipeline[2].crop_size = 128

train_dataloader = dict(batch_size=512, num_workers=8, drop_last=True, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=512, num_workers=8, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=512, num_workers=8, dataset=dict(pipeline=test_pipeline))
