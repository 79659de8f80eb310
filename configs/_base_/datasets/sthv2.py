# Something-Something V2 videos: 16 frames, one from each of as many segments of the whole video; no flip, since left
# and right matter; in the test 1 clip and 3 crops. Folders and lists as MMAction2's tools/data/sthv2 makes them.
dataset_type = 'VideoDataset'
data_root = 'data/sthv2/videos'
ann_file_train = 'data/sthv2/sthv2_train_list_videos.txt'
ann_file_val = 'data/sthv2/sthv2_val_list_videos.txt'

train_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(type='UniformSample', clip_len=16, num_clips=1),
    dict(type='mmuniformer.ClipDecode'),
    dict(
        type='mmuniformer.RepeatAugment',
        times=2,
        transforms=[
            # The recipes' colour and scale jitter have no effect beside RandAugment and an area range.
            dict(type='mmuniformer.ClipRandAugment', policy='rand-m7-n4-mstd0.5-inc1', interpolation='bicubic'),
            dict(type='RandomResizedCrop', area_range=(0.08, 1.0), aspect_ratio_range=(0.75, 1.3333)),
            dict(type='Resize', scale=(224, 224), keep_ratio=False),
            # Noise of the data's mean and deviation: standard normal once normalised.
            dict(type='RandomErasing', erase_prob=0.25, mode='rand', fill_color=[114.75] * 3, fill_std=[57.375] * 3),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs')
        ])
]
val_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(type='UniformSample', clip_len=16, num_clips=1, test_mode=True),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
test_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(type='UniformSample', clip_len=16, num_clips=1, test_mode=True),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='ThreeCrop', crop_size=224),
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
        data_prefix=dict(video=data_root),
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
        data_prefix=dict(video=data_root),
        pipeline=test_pipeline,
        test_mode=True))

val_evaluator = dict(type='AccMetric')
test_evaluator = dict(type='AccMetric')
