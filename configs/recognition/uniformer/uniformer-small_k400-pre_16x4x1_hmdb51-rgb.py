# UniFormer-S of Kinetics-400 on HMDB51 (split 1), as UCF101.
# The release left its 101 classes, so its weights have 50 outputs that are never right.
_base_ = 'uniformer-small_k400-pre_16x4x1_ucf101-rgb.py'

# Folders and lists as MMAction2's tools/data/hmdb51 makes them.
data_root = 'data/hmdb51/videos'
ann_file_train = 'data/hmdb51/hmdb51_train_split_1_videos.txt'
ann_file_val = 'data/hmdb51/hmdb51_val_split_1_videos.txt'
train_dataloader = dict(dataset=dict(ann_file=ann_file_train, data_prefix=dict(video=data_root)))
val_dataloader = dict(dataset=dict(ann_file=ann_file_val, data_prefix=dict(video=data_root)))
test_dataloader = dict(dataset=dict(ann_file=ann_file_val, data_prefix=dict(video=data_root)))
