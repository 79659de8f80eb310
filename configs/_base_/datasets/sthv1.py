# Something-Something V1, which comes as folders of frames: read those, otherwise as V2.
# Folders and lists as MMAction2's tools/data/sthv1 makes them.
_base_ = 'sthv2.py'

dataset_type = 'RawframeDataset'
data_root = 'data/sthv1/rawframes'
ann_file_train = 'data/sthv1/sthv1_train_list_rawframes.txt'
ann_file_val = 'data/sthv1/sthv1_val_list_rawframes.txt'

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
for _pipeline in (train_pipeline, val_pipeline, test_pipeline):
    _pipeline[0].reader = 'RawFrame'
    _pipeline[2].reader = 'RawFrame'
del _pipeline

_dataset = dict(type=dataset_type, filename_tmpl='{:05}.jpg', data_prefix=dict(_delete_=True, img=data_root))
train_dataloader = dict(dataset=dict(**_dataset, ann_file=ann_file_train, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**_dataset, ann_file=ann_file_val, pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(**_dataset, ann_file=ann_file_val, pipeline=test_pipeline))
del _dataset
