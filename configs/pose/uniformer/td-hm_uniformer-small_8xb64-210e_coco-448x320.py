# As 256x192, at 448x320: 8 GPUs x 64 persons.
_base_ = 'td-hm_uniformer-small_8xb128-210e_coco-256x192.py'

codec = dict(type='MSRAHeatmap', input_size=(320, 448), heatmap_size=(80, 112), sigma=3)
model = dict(head=dict(decoder=codec))

train_pipeline = _base_.train_pipeline
train_pipeline[5].input_size = codec['input_size']  # TopdownAffine
train_pipeline[6].encoder = codec  # GenerateTarget
val_pipeline = _base_.val_pipeline
val_pipeline[2].input_size = codec['input_size']
train_dataloader = dict(batch_size=64, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=val_pipeline))

optim_wrapper = dict(optimizer=dict(lr=1e-3))
auto_scale_lr = dict(base_batch_size=512)
