# Kinetics-400 videos: a dense clip of 16 frames, every fourth; in the test 4 clips and the centre crop.
# Folders and lists as MMAction2's tools/data/kinetics makes them.
dataset_type = 'VideoDataset'
data_root = 'data/kinetics400/videos_train'
data_root_val = 'data/kinetics400/videos_val'
ann_file_train = 'data/kinetics400/kinetics400_train_list_videos.txt'
ann_file_val = 'data/kinetics400/kinetics400_val_list_videos.txt'

train_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    # A clip that ends after the video repeats its last frame, as in the release.
    dict(type='SampleFrames', clip_len=16, frame_interval=4, num_clips=1, out_of_bound_opt='repeat_last'),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(-1, 320)),
    dict(
        type='mmuniformer.RepeatAugment',
        times=2,
        transforms=[
            # The recipes also name a colour jitter of 0.4 and a scale jitter of 256 to 320. Neither has an effect: the
            # release reads the first nowhere beside RandAugment, and the second only without an area range.
            dict(type='mmuniformer.ClipRandAugment', policy='rand-m7-n4-mstd0.5-inc1', interpolation='bicubic'),
            dict(type='RandomResizedCrop', area_range=(0.08, 1.0), aspect_ratio_range=(0.75, 1.3333)),
            dict(type='Resize', scale=(224, 224), keep_ratio=False),
            dict(type='Flip', flip_ratio=0.5),
            # Noise of the data's mean and deviation: standard normal once normalised.
            dict(type='RandomErasing', erase_prob=0.25, mode='rand', fill_color=[114.75] * 3, fill_std=[57.375] * 3),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs')
        ])
]
val_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(
        type='SampleFrames',
        clip_len=16,
        frame_interval=4,
        num_clips=1,
        out_of_bound_opt='repeat_last',
        test_mode=True),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
test_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(
        type='SampleFrames',
        clip_len=16,
        frame_interval=4,
        num_clips=4,
        out_of_bound_opt='repeat_last',
        test_mode=True),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]

train_dataloader = dict(
    batch_size=4,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='repeat_pseudo_collate'),
    dataset=dict(
        type=dataset_type, ann_file=ann_file_train, data_prefix=dict(video=data_root), pipeline=train_pipeline))
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        ann_file=ann_file_val,
        data_prefix=dict(video=data_root_val),
        pipeline=val_pipeline,
        test_mode=True))
test_dataloader = dict(
    batch_size=2,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        ann_file=ann_file_val,
        data_prefix=dict(video=data_root_val),
        pipeline=test_pipeline,
        test_mode=True))

val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
