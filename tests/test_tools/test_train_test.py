"""train.py and test.py as commands, with a published config whose network and clips are made small."""
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
_base_ = '{base}'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, depths=[1, 1, 1, 1], embed_dims=[8, 16, 24, 32], head_dim=8), init_cfg={init_cfg}),
    cls_head=dict(in_channels=32, num_classes=2),
    data_preprocessor=dict(blending=dict(augments=[
        dict(type='MixupBlending', alpha=0.8, num_classes=2), dict(type='CutmixBlending', alpha=1.0, num_classes=2)])))

train_pipeline = _base_.train_pipeline
val_pipeline = _base_.val_pipeline
test_pipeline = _base_.test_pipeline
for _pipeline in (train_pipeline, val_pipeline, test_pipeline):
    _pipeline[1].clip_len = 4
    _pipeline[3].scale = (-1, 32)
del _pipeline
train_pipeline[4].transforms[2].scale = (32, 32)
val_pipeline[4].crop_size = test_pipeline[4].crop_size = 32
_data = dict(ann_file='{data}/list.txt', data_prefix=dict(video='{data}'))
_loader = dict(batch_size=2, num_workers=1)
train_dataloader = dict(**_loader, dataset=dict(pipeline=train_pipeline, **_data))
val_dataloader = dict(**_loader, dataset=dict(pipeline=val_pipeline, **_data))
test_dataloader = dict(**_loader, dataset=dict(pipeline=test_pipeline, **_data))
del _data, _loader
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
"""
WITHOUT = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec
PathFinder.find_spec = lambda name, *args: None if name.split('.')[0] == '{name}' else find_spec(name, *args)
"""


@pytest.fixture
def data(tmp_path) -> Path:
    folder = tmp_path / 'videos'
    folder.mkdir()
    for index in range(4):
        writer = cv2.VideoWriter(str(folder / f'{index}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 25, (64, 48))
        for _ in range(12):
            writer.write(np.random.RandomState(index).randint(0, 256, (48, 64, 3), dtype=np.uint8))
        writer.release()
    (folder / 'list.txt').write_text(''.join(f'{index}.mp4 {index % 2}\n' for index in range(4)))
    return folder


@pytest.fixture
def config(data, tmp_path) -> Path:
    base = ROOT / 'configs/recognition/uniformer/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py'
    (tmp_path / 'tiny.py').write_text(CONFIG.format(base=base, data=data, init_cfg=None))
    return tmp_path / 'tiny.py'


def run(name: str, folder: Path, *options, path: str | Path = '') -> subprocess.CompletedProcess:
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=f'{ROOT}{os.pathsep}{path}')
    command = [sys.executable, str(ROOT / f'tools/{name}.py'), *map(str, options), '--work-dir', str(folder)]
    return subprocess.run(command, env=env, cwd=folder.parent, text=True, capture_output=True, timeout=300)


def test_train_resume_test(config, tmp_path):
    out = tmp_path / 'out'
    first = run('train', out, config)
    assert first.returncode == 0, first.stderr
    assert 'training in float32' in first.stdout + first.stderr
    assert (out / 'epoch_1.pth').is_file() and (out / 'tiny.py').is_file()

    second = run('train', out, config, '--resume', '--no-validate', '--cfg-options', 'train_cfg.max_epochs=2')
    assert second.returncode == 0, second.stderr
    log = second.stdout + second.stderr
    assert 'resumed epoch: 1' in log and 'Epoch(train) [2][' in log and 'Epoch(train) [1][' not in log
    assert 'Epoch(val)' not in log

    third = run('test', out, config, out / 'epoch_2.pth', '--dump', tmp_path / 'out.pkl')
    assert third.returncode == 0, third.stderr
    top1 = float(re.search(r'acc/top1: ([\d.]+)', third.stdout + third.stderr)[1])
    with open(tmp_path / 'out.pkl', 'rb') as file:
        predictions = pickle.load(file)
    assert len(predictions) == 4
    right = sum(int(each['pred_label']) == int(each['gt_label']) for each in predictions)
    assert right / 4 == pytest.approx(top1)
    for each in predictions:  # 4 clips' probabilities, averaged
        assert each['pred_score'].shape == (2, ) and float(each['pred_score'].sum()) == pytest.approx(1, abs=1e-5)


def last_line(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_checkpoint_of_another_model(config, tmp_path):
    torch.save(dict(meta={}, state_dict={'backbone.patch_embed1.proj.weight': torch.zeros(1)}), tmp_path / 'other.pth')
    for name, options in (('test', [tmp_path / 'other.pth']), ('train', ['--resume', tmp_path / 'other.pth'])):
        line = last_line(run(name, tmp_path / 'out', config, *options))
        assert line.startswith(f'{tmp_path}/other.pth does not fit {config}: '), line
        assert 'backbone.patch_embed1.proj.weight is 1, not ' in line


def test_missing_framework(config, tmp_path):
    (tmp_path / 'sitecustomize.py').write_text(WITHOUT.format(name='mmaction'))
    line = last_line(run('train', tmp_path / 'out', config, path=tmp_path))
    assert line.startswith(f'{config} needs mmaction2: pip install decord "mmaction2')


def test_damaged_video(config, data, tmp_path):
    (data / '2.mp4').write_bytes(b'not a video')
    line = last_line(run('train', tmp_path / 'out', config))
    assert line.startswith(f'{data}/2.mp4 is not a video that Decord can open')


def test_missing_list(config, data, tmp_path):
    (data / 'list.txt').unlink()
    line = last_line(run('train', tmp_path / 'out', config))
    assert line.startswith(f'Not there: {data}/list.txt (train_dataloader.dataset.ann_file)')


def test_missing_pretrained_weights(config, tmp_path):
    text = config.read_text().replace('init_cfg=None', "init_cfg=dict(checkpoint='gone/uniformer_small_k600_16x4.pth')")
    config.write_text(text)
    line = last_line(run('train', tmp_path / 'out', config))
    assert 'gone/uniformer_small_k600_16x4.pth' in line and 'drive.google.com' in line
