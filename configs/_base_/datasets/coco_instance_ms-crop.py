# COCO instances with DETR's multi-scale training: short side 480 to 800, in half of the cases of a random crop.
_base_ = 'mmdet::_base_/datasets/coco_instance.py'

_resize = dict(type='RandomChoiceResize', scales=[(short, 1333) for short in range(480, 801, 32)], keep_ratio=True)
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=_base_.backend_args),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomChoice',
        transforms=[
            [_resize],
            [
                dict(type='RandomChoiceResize', scales=[(400, 1333), (500, 1333), (600, 1333)], keep_ratio=True),
                dict(type='RandomCrop', crop_type='absolute_range', crop_size=(384, 600), allow_negative_crop=True),
                _resize,
            ],
        ]),
    dict(type='PackDetInputs')
]
del _resize
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
