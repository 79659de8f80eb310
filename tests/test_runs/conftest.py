"""Runs on real videos: a tiny labelled set, a small network, the project's commands."""
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LABELS = {'demo.mp4': 'arm wrestling', 'test.mp4': 'playing outside', 'demo_skeleton.mp4': 'skating',
          'Tw2yXa6CzWE.mp4': 'street'}
#: The demo's network and loops on the real videos. Clips are taken from the middle, so that nothing depends on random
#: generators, whose state no checkpoint keeps; the order of the samples follows from the seed and the epoch.
CONFIG = """
_base_ = '{base}'

randomness = dict(seed=0)
model = dict(cls_head=dict(num_classes=4))
_pipeline = [
    dict(type='mmuniformer.ClipInit'),
    dict(type='SampleFrames', clip_len=8, frame_interval=4, test_mode=True),
    dict(type='mmuniformer.ClipDecode'),
    dict(type='Resize', scale=(64, 64), keep_ratio=False),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs')
]
_dataset = dict(type='VideoDataset', data_root='{data}', ann_file='list.txt', pipeline=_pipeline)
train_dataloader = dict(
    batch_size={batch}, num_workers=0, persistent_workers=False,
    dataset=dict(_delete_=True, type='RepeatDataset', times=4, dataset=_dataset))
val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=_dataset)
test_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=_dataset)
test_pipeline = _pipeline
param_scheduler = dict(_delete_=True, type='LinearLR', start_factor=0.1, end=4, by_epoch=False)
train_cfg = dict(max_epochs={epochs}, val_interval=1)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(max_keep_ckpts=-1))
"""


@pytest.fixture(scope='session')
def videos(shared, tmp_path_factory) -> Path:
    """A folder with the videos and ``list.txt``, one class a video."""
    folder = tmp_path_factory.mktemp('videos')
    for name in LABELS:
        (folder / name).symlink_to(shared / 'data/video' / name)
    (folder / 'list.txt').write_text(''.join(f'{name} {label}\n' for label, name in enumerate(LABELS)))
    (folder / 'labels.txt').write_text('\n'.join(LABELS.values()) + '\n')
    return folder


@pytest.fixture(scope='session')
def config(videos, tmp_path_factory) -> Callable[..., Path]:
    """Write a config of the real videos; ``extra`` is Python added to it."""
    folder = tmp_path_factory.mktemp('configs')

    def write(name: str, epochs: int, batch: int = 4, extra: str = '') -> Path:
        base = ROOT / 'configs/demo/uniformer-demo_recognition.py'
        path = folder / f'{name}.py'
        path.write_text(CONFIG.format(base=base, data=videos, epochs=epochs, batch=batch) + extra)
        return path

    return write


def tool(name: str, *options) -> dict:
    """Arguments of subprocess for a command of ``tools/``, one thread a process."""
    launcher = [sys.executable] if name.endswith('.py') else ['bash']
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT), PYTHON=sys.executable)
    return dict(args=[*launcher, str(ROOT / 'tools' / name), *map(str, options)], env=env, text=True)


def run(name: str, *options) -> str:
    """Run a command of ``tools/`` to its end and return what it printed."""
    result = subprocess.run(**tool(name, *options), capture_output=True, timeout=400)
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    return result.stdout + result.stderr
