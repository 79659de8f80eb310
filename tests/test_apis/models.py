"""Tiny models to predict with: two that have learned to tell dark from bright, three as they are initialised."""
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner, save_checkpoint

import mmuniformer  # noqa: F401
from mmuniformer.datasets.generated.motion import write_video

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ('dark', 'bright')
LEVELS = (60, 200)  # of grey
FPS = 10
BACKBONE = dict(arch=dict(depths=[1, 1, 1, 1], embed_dims=[8, 16, 32, 32], head_dim=16, mlp_ratio=2))

VIDEO = """
_base_ = '{root}/configs/demo/uniformer-demo_recognition.py'
model = dict(backbone={backbone}, cls_head=dict(num_classes=2, in_channels=32))
_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(type='SampleFrames', clip_len=4, frame_interval=2, test_mode=True),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(32, 32), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
_dataset = dict(type='VideoDataset', data_root='{data}', ann_file='list.txt', pipeline=_pipeline)
_loader = dict(_delete_=True, batch_size=8, num_workers=0, dataset=_dataset, drop_last=True,
               sampler=dict(type='DefaultSampler', shuffle=True))
train_dataloader = _loader
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = _loader
test_pipeline = _pipeline
"""
IMAGE = """
_base_ = '{root}/configs/demo/uniformer-demo_classification.py'
model = dict(backbone={backbone}, head=dict(num_classes=2, in_channels=32))
data_preprocessor = dict(num_classes=2)
_pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]
_loader = dict(_delete_=True, batch_size=8, num_workers=0, drop_last=True,
               dataset=dict(type='CustomDataset', data_root='{data}/data', classes={classes}, pipeline=_pipeline),
               sampler=dict(type='DefaultSampler', shuffle=True))
train_dataloader = _loader
val_dataloader = None
val_cfg = None
val_evaluator = None
test_dataloader = _loader
"""
TRAINING = """
randomness = dict(seed=0)
param_scheduler = []
train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=20, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=20, save_best=None), logger=dict(interval=20))
log_level = 'ERROR'
"""


def flicker(rng: np.random.Generator, level: int, frames: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """Noise around a level of grey, ``(frames, *size, 3)``, uint8."""
    return np.clip(rng.normal(level, 20, (frames, *size, 3)), 0, 255).astype(np.uint8)


def recognizer(folder: Path) -> tuple[Path, Path]:
    """Config and checkpoint of a video model; four videos of each class are its data. Names are in ``labels.txt``."""
    rng = np.random.default_rng(0)
    for i in range(8):
        write_video(folder / f'{i}.mp4', flicker(rng, LEVELS[i % 2], 12), FPS)
    (folder / 'list.txt').write_text(''.join(f'{i}.mp4 {i % 2}\n' for i in range(8)))
    (folder / 'labels.txt').write_text('\n'.join(CLASSES) + '\n')
    return _train(folder, VIDEO, dict(_delete_=True, type='mmuniformer.UniFormer3D', **BACKBONE))


def classifier(folder: Path) -> tuple[Path, Path]:
    """Config and checkpoint of an image model; the checkpoint knows the names."""
    rng = np.random.default_rng(0)
    for i in range(8):
        place = folder / 'data' / f'{i % 2}'
        place.mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(place / f'{i}.png'), flicker(rng, LEVELS[i % 2], 1)[0])
    return _train(folder, IMAGE, dict(_delete_=True, type='mmuniformer.UniFormer', out_norm='BN', out_indices=(3, ),
                                      **BACKBONE))


def _train(folder: Path, config: str, backbone: dict) -> tuple[Path, Path]:
    path = folder / 'config.py'
    path.write_text(config.format(root=ROOT, data=folder, backbone=backbone, classes=list(CLASSES)) + TRAINING)
    cfg = Config.fromfile(path)
    cfg.work_dir = str(folder / 'work')
    Runner.from_cfg(cfg).train()
    return path, folder / 'work' / 'epoch_20.pth'


IN_CHANNELS = [8, 16, 32, 32]
DENSE = {
    'detection': ('mmdet', """
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)
model = dict(backbone={backbone}, neck=dict(in_channels=[8, 16, 32, 32], out_channels=16),
             bbox_head=dict(num_classes=3, in_channels=16, feat_channels=16, stacked_convs=1),
             test_cfg=dict(score_thr=0., max_per_img=20))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]))
""", dict(classes=('cat', 'dog', 'cow'), palette=[(255, 0, 0), (0, 255, 0), (0, 0, 255)])),
    'segmentation': ('mmseg', """
_base_ = '{root}/configs/segmentation/uniformer/uniformer-small_fpn_8xb4-80k_ade20k-512x512.py'
model = dict(backbone={backbone}, neck=dict(in_channels=[8, 16, 32, 32], out_channels=16, num_outs=4),
             decode_head=dict(in_channels=[16] * 4, channels=16, num_classes=3))
test_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='LoadAnnotations'), dict(type='PackSegInputs')]))
""", dict(classes=('sky', 'road', 'tree'), palette=[[255, 0, 0], [0, 255, 0], [0, 0, 255]])),
    'pose': ('mmpose', """
_base_ = '{root}/configs/pose/uniformer/td-hm_uniformer-small_8xb128-210e_coco-256x192.py'
model = dict(backbone={backbone}, head=dict(in_channels=32, deconv_out_channels=(16, 16, 16)))
""", None),
}


def dense(folder: Path, task: str) -> tuple[Path, Path]:
    """Config and checkpoint of a detector, segmentor or pose estimator as it is initialised from seed 0."""
    scope, config, meta = DENSE[task]
    backbone = dict(_delete_=True, type='mmuniformer.UniFormer', out_indices=(3, ) if task == 'pose' else (0, 1, 2, 3),
                    **BACKBONE)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{task}.py'
    path.write_text(config.format(root=ROOT, backbone=backbone))
    cfg = Config.fromfile(path)
    import_module(f'{scope}.models')
    import_module(f'{scope}.datasets')
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(cfg.model)
        model.init_weights()
    if meta is None:
        from mmpose.apis.inference import dataset_meta_from_config
        with DefaultScope.overwrite_default_scope(scope):
            meta = dataset_meta_from_config(cfg, dataset_mode='train')
    checkpoint = folder / f'{task}.pth'
    save_checkpoint(dict(state_dict=model.state_dict(), meta=dict(dataset_meta=meta)), str(checkpoint))
    return path, checkpoint
