# UniFormer-S as an image classifier that learns from a label for each token, too, and mixes tokens instead of images.
# A data set of another class count sets it in three places: the data preprocessor, the head and TokenLabelTarget.
custom_imports = dict(
    imports=['mmuniformer', 'mmuniformer.models.classifiers.token_label_classifier'], allow_failed_imports=False)

model = dict(
    type='mmuniformer.TokenLabelClassifier',
    mix_token=1.0,
    backbone=dict(type='mmuniformer.UniFormer', arch='small', out_norm='BN', out_indices=(3, ), drop_path_rate=0.1),
    head=dict(
        type='mmuniformer.TokenLabelClsHead',
        num_classes=1000,
        in_channels=512,
        # The release's weight. The paper's (arXiv 2104.10858) is 0.5, the head's default.
        token_weight=1.0,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))
