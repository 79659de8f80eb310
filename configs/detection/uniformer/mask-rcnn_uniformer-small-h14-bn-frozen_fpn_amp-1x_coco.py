# As the 1x config, with the backbone's BatchNorms frozen: they keep ImageNet's running statistics, which batches of two
# images a GPU blur, and its scales and shifts. Not in the release; its authors expect it to help.
_base_ = 'mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco.py'

model = dict(backbone=dict(norm_eval=True, norm_cfg=dict(type='BN', requires_grad=False)))
