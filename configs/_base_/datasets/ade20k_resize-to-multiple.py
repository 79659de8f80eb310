# ADE20K; in the test images are stretched so that both sides are multiples of 32, the stride of the last stage.
_base_ = 'ade20k_ms-test.py'

test_pipeline = _base_.test_pipeline
test_pipeline.insert(2, dict(type='ResizeToMultiple', size_divisor=32))
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1].transforms.insert(1, [dict(type='ResizeToMultiple', size_divisor=32)])

val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
