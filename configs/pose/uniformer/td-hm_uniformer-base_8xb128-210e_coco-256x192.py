# Heatmaps of persons in detected boxes, 256x192, on UniFormer-B (global attention): 8 GPUs x 128 persons.
_base_ = 'td-hm_uniformer-small_8xb128-210e_coco-256x192.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.4,
        init_cfg=dict(checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))
