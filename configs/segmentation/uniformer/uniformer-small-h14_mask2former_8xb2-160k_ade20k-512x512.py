# Mask2Former on UniFormer-S (hybrid, window 14), which the release does not have: the backbone in a head of today.
# The recipe is MMSegmentation's for Swin-T: the backbone learns at a tenth of the rate, norms don't decay. Needs mmdet.
_base_ = 'mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py'
custom_imports = dict(imports=['mmuniformer', 'mmdet.models'], allow_failed_imports=False)

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmuniformer.UniFormer',
        arch='small',
        attention='hybrid',
        window_size=14,
        drop_path_rate=0.25,
        init_cfg=dict(type='Pretrained', checkpoint='hf://Sense-X/uniformer_image/uniformer_small_in1k.pth')),
    decode_head=dict(in_channels=[64, 128, 320, 512]))

# The longest key that fits a parameter counts, so norms need keys longer than `backbone`.
_norms = ['backbone.norm', *(f'backbone.patch_embed{stage}.norm' for stage in range(1, 5)),
          *(f'backbone.blocks{stage + 1}.{block}.norm' for stage, depth in enumerate((3, 4, 8, 3))
            for block in range(depth))]
optim_wrapper = dict(
    paramwise_cfg=dict(custom_keys={norm: dict(lr_mult=0.1, decay_mult=0.) for norm in _norms}))
del _norms
