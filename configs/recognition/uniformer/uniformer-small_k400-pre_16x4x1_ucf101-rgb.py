# UniFormer-S of Kinetics-400 on UCF101 (split 1), 16 frames, every fourth: 8 GPUs x 16 clips, 25 epochs.
_base_ = 'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py'

model = dict(
    backbone=dict(
        drop_path_rate=0.2,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmaction/v1.0/recognition/uniformerv1/'
                       'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb_20221219-c630a037.pth')),
    cls_head=dict(num_classes=101),
    data_preprocessor=dict(
        blending=dict(augments=[
            dict(type='MixupBlending', alpha=0.8, num_classes=101),
            dict(type='CutmixBlending', alpha=1.0, num_classes=101)
        ])))

train_pipeline = _base_.train_pipeline
train_pipeline.pop(3)  # its videos are small already
train_pipeline[3].transforms[0].policy = 'rand-m5-n2-mstd0.25'
# 5 clips x 3 crops
test_pipeline = _base_.test_pipeline
test_pipeline[1].num_clips = 5
test_pipeline[4] = dict(type='ThreeCrop', crop_size=224)

# Folders and lists as MMAction2's tools/data/ucf101 makes them.
data_root = 'data/ucf101/videos'
ann_file_train = 'data/ucf101/ucf101_train_split_1_videos.txt'
ann_file_val = 'data/ucf101/ucf101_val_split_1_videos.txt'
train_dataloader = dict(
    batch_size=16, dataset=dict(ann_file=ann_file_train, data_prefix=dict(video=data_root), pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(ann_file=ann_file_val, data_prefix=dict(video=data_root)))
test_dataloader = dict(
    batch_size=1, dataset=dict(ann_file=ann_file_val, data_prefix=dict(video=data_root), pipeline=test_pipeline))

auto_scale_lr = dict(base_batch_size=128)
base_lr = 5e-5
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
param_scheduler[0].end = 5
param_scheduler[1].update(begin=5, end=25)
train_cfg = dict(max_epochs=25)
