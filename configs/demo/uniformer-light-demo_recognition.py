# The same demo with a light (hourglass) model: most tokens of stages 3 and 4 take a short way.
# `make demo TASK=recognition ARCH=light`
_base_ = 'uniformer-demo_recognition.py'
custom_imports = dict(
    imports=['mmuniformer', 'mmuniformer.models.heads.video_class_token_head'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormerLight3D',
        # Both convolutions of this stem look at three frames: of the patch embeddings none else looks at more than one.
        arch=dict(depths=[1, 1, 3, 2], embed_dims=[16, 32, 64, 128], head_dim=32, mlp_ratio=3, conv_stem=True),
        out_cls_token=True),
    cls_head=dict(type='mmuniformer.ClassTokenI3DHead'))

# With four times this rate it may never leave chance.
optim_wrapper = dict(optimizer=dict(lr=5e-4))
