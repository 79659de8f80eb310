# UniFormer-S as an image classifier, with the mixing of images and the smoothing of labels it is trained with.
# A data set of another class count sets it in two places: the data preprocessor and the head.
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmuniformer.UniFormer', arch='small', out_norm='BN', out_indices=(3, ), drop_path_rate=0.1),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=512,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02)),
    # One of the two for each batch, with equal probability.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]))
