# UniFormer-S on Kinetics-600, 16 frames, every fourth: 8 GPUs x 12 clips.
_base_ = 'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py'

model = dict(
    cls_head=dict(num_classes=600),
    data_preprocessor=dict(
        blending=dict(augments=[
            dict(type='MixupBlending', alpha=0.8, num_classes=600),
            dict(type='CutmixBlending', alpha=1.0, num_classes=600)
        ])))

# Folders and lists as MMAction2's tools/data/kinetics makes them.
data_root = 'data/kinetics600/videos_train'
data_root_val = 'data/kinetics600/videos_val'
ann_file_train = 'data/kinetics600/kinetics600_train_list_videos.txt'
ann_file_val = 'data/kinetics600/kinetics600_val_list_videos.txt'
train_dataloader = dict(batch_size=12, dataset=dict(ann_file=ann_file_train, data_prefix=dict(video=data_root)))
val_dataloader = dict(dataset=dict(ann_file=ann_file_val, data_prefix=dict(video=data_root_val)))
test_dataloader = dict(dataset=dict(ann_file=ann_file_val, data_prefix=dict(video=data_root_val)))

auto_scale_lr = dict(base_batch_size=96)
base_lr = 3e-4
optim_wrapper = dict(optimizer=dict(lr=base_lr))
param_scheduler = _base_.param_scheduler
param_scheduler[0].start_factor = 1e-6 / base_lr
