# Heatmaps of persons in detected boxes, 448x320, on UniFormer-B (global attention): 8 GPUs x 32 persons.
_base_ = 'td-hm_uniformer-small_8xb64-210e_coco-448x320.py'

model = dict(
    backbone=dict(
        arch='base',
        drop_path_rate=0.55,
        init_cfg=dict(checkpoint='hf://Sense-X/uniformer_image/uniformer_base_in1k.pth')))

train_dataloader = dict(batch_size=32)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
auto_scale_lr = dict(base_batch_size=256)
