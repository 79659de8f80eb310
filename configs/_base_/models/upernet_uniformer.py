# UPerNet of MMSegmentation on UniFormer-S, 150 classes, an auxiliary FCN head on stage 3.
_base_ = 'mmseg::_base_/models/upernet_r50.py'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)

model = dict(
    # Size of training crops. In the test the last stage sees every pixel only if both sides are multiples of 32.
    data_preprocessor=dict(size=(512, 512), test_cfg=dict(size_divisor=32)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormer',
        arch='small',
        drop_path_rate=0.25,
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_small_in1k.pth')),
    decode_head=dict(in_channels=[64, 128, 320, 512], num_classes=150),
    auxiliary_head=dict(in_channels=320, num_classes=150))
