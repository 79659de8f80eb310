# UniFormer-S as a video recognizer, with the mixing of clips and the smoothing of labels it is trained with.
# A data set of another class count sets it in three places: the head and both blendings.
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='mmuniformer.UniFormer3D',
        arch='small',
        drop_path_rate=0.1,
        # Weights of ImageNet-1K, inflated: each 2-D kernel repeated over time and divided by its length.
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_small_in1k.pth')),
    cls_head=dict(
        type='I3DHead',
        in_channels=512,
        num_classes=400,
        spatial_type='avg',
        # The value in the release's recipes (MODEL.DROPOUT_RATE). Its network never reads it, so the published weights
        # were trained with 0.
        dropout_ratio=0.5,
        init_std=0.02,
        label_smooth_eps=0.1,
        average_clips='prob'),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[114.75, 114.75, 114.75],
        std=[57.375, 57.375, 57.375],
        format_shape='NCTHW',
        # One of the two for each batch, with equal probability.
        blending=dict(
            type='RandomBatchAugment',
            augments=[
                dict(type='MixupBlending', alpha=0.8, num_classes=400),
                dict(type='CutmixBlending', alpha=1.0, num_classes=400)
            ])))
