"""From folders of videos, csv files and folders of frames to a model, and what is wrong with them."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config

from mmuniformer.finetune import FinetuneError

from .conftest import ARCH, moving_square, pictures, reported, run, snippet, write_video

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def report(videos, tmp_path_factory):
    return run('video', videos, tmp_path_factory.mktemp('video') / 'out', frames=4)


def test_report_and_usage(report, videos):
    assert {'curve.png', 'confusion.png'} <= set(pictures(report))
    text = report.read_text()
    for line in ('acc/top1', 'frames of a video | 10 to 10', '| sideways | 2 |', 'tools/test.py'):
        assert line in text
    scope = {}
    exec(snippet(report, {'video.mp4': str(videos / 'sideways/00.mp4')}), scope)
    assert len(scope['scores']) == 2 and sum(scope['scores']) == pytest.approx(1, abs=1e-3)
    assert scope['names'] == ['downwards', 'sideways']


def test_sampling_follows_the_length(report):
    cfg = Config.fromfile(report.parent / 'config.py')
    assert cfg.val_pipeline[1].type == 'UniformSample'  # short videos: a clip is spread over the whole


def test_csv_of_real_videos(shared, tmp_path):
    """Real files of various sizes, the two clips of a source on one side, through the command."""
    names = ['demo.mp4', 'test.mp4', 'demo_skeleton.mp4', 'Tw2yXa6CzWE.mp4']
    lines = [f'{shared / "data/video" / name},{label},{source}\n'
             for name, label, source in zip(names, 'aabb', ('one', 'two', 'three', 'four'))]
    (tmp_path / 'list.csv').write_text('path,label,source\n' + ''.join(lines))
    options = ['--task', 'video', '--data', tmp_path / 'list.csv', '--out', tmp_path / 'out', '--pretrained', 'none',
               '--arch', str(ARCH).replace("'", '"'), '--epochs', '1', '--frames', '4', '--size', '32',
               '--workers', '0', '--val-share', '0.5', '--cfg-options', 'optim_wrapper.optimizer.weight_decay=0.1']
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    command = [sys.executable, str(ROOT / 'tools/finetune.py'), *map(str, options)]
    result = subprocess.run(command, env=env, text=True, capture_output=True, timeout=300)
    assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
    assert 'training [####' in result.stderr and 'epoch 1: acc/top1' in result.stdout
    assert len((tmp_path / 'out/data/train.txt').read_text().splitlines()) == 2
    assert Config.fromfile(tmp_path / 'out/config.py').optim_wrapper.optimizer.weight_decay == 0.1
    assert {'curve.png', 'confusion.png'} <= set(pictures(tmp_path / 'out/report.md'))


@pytest.fixture(scope='module')
def frames(tmp_path_factory):
    root = tmp_path_factory.mktemp('frames') / 'data'
    for seed in range(8):
        folder = root / ('sideways', 'downwards')[seed % 2] / f'walk_{seed}'
        folder.mkdir(parents=True)
        for t, frame in enumerate(moving_square(seed, 6)):
            cv2.imwrite(str(folder / f'img_{t + 1:05}.png'), frame)
    return root


class TestFrames:

    def test_train(self, frames, tmp_path):
        report = run('video', frames, tmp_path / 'out', frames=4, epochs=1)
        dataset = Config.fromfile(tmp_path / 'out/config.py').val_dataloader.dataset
        assert (dataset.type, dataset.filename_tmpl, dataset.start_index) == ('RawframeDataset', 'img_{:05}.png', 1)
        assert (tmp_path / 'out/data/train.txt').read_text().splitlines()[0].split()[1:] == ['6', '0']
        assert 'confusion.png' in pictures(report)

    def test_faults(self, frames, tmp_path, capsys):
        shutil.copytree(frames, tmp_path / 'data')
        (tmp_path / 'data/sideways/walk_0/img_00003.png').unlink()
        (tmp_path / 'data/sideways/walk_2/img_00004.png').rename(tmp_path / 'data/sideways/walk_2/last.png')
        (tmp_path / 'data/sideways/walk_4/img_00001.png').write_bytes(b'')
        for t in range(1, 7):
            folder = tmp_path / 'data/downwards/walk_1'
            (folder / f'img_{t:05}.png').rename(folder / f'{t}.png')
        with pytest.raises(FinetuneError, match='BAD above'):
            run('video', tmp_path / 'data', tmp_path / 'out', frames=4)
        table = capsys.readouterr().out
        for fault in ('with numbers missing  ', 'whose names are not numbered  ', 'frames that can not be read  ',
                      'not named as most are (img_{:05}.png from 1)  '):
            assert fault in table

    def test_are_not_mixed_with_videos(self, frames, videos, tmp_path):
        shutil.copytree(frames / 'sideways', tmp_path / 'data/sideways')
        shutil.copytree(videos / 'downwards', tmp_path / 'data/downwards')
        with pytest.raises(FinetuneError, match='4 folders of frames and 8 videos: .* one kind'):
            run('video', tmp_path / 'data', tmp_path / 'out', frames=4)


def test_faults(videos, tmp_path, capsys):
    shutil.copytree(videos, tmp_path / 'data')
    (tmp_path / 'data/sideways/00.mp4').write_bytes((tmp_path / 'data/sideways/02.mp4').read_bytes()[:200])
    write_video(tmp_path / 'data/downwards/short.mp4', 1, frames=3)
    with pytest.raises(FinetuneError, match='BAD above'):
        run('video', tmp_path / 'data', tmp_path / 'out', frames=4)
    table = capsys.readouterr().out
    assert 'videos that can not be read' in table and 'sideways/00.mp4' in table
    assert 'videos shorter than a clip of 4 frames (--frames)' in table and 'downwards/short.mp4 (3)' in table
    config = run('video', tmp_path / 'data', tmp_path / 'out', frames=4, skip_bad=True, prepare=True, batch_size=2)
    lists = (config.parent / 'data/train.txt').read_text() + (config.parent / 'data/val.txt').read_text()
    assert len(lists.splitlines()) == 15 and 'short' not in lists and '/00.mp4' not in lists


def test_all_too_short(videos, tmp_path):
    with pytest.raises(FinetuneError, match='no class with videos'):
        run('video', videos, tmp_path / 'out', frames=16)


def test_folders_within_a_class_are_sources(tmp_path):
    for seed in range(12):
        write_video(tmp_path / f'data/{"ab"[seed % 2]}/day {seed // 4}/{seed}.mp4', seed, frames=4)
    run('video', tmp_path / 'data', tmp_path / 'out', frames=4, prepare=True, batch_size=2, val_share=0.3)
    train, val = (set((tmp_path / f'out/data/{name}.txt').read_text().splitlines()) for name in ('train', 'val'))
    sources = [{line.rpartition('/')[0] for line in lines} for lines in (train, val)]
    assert len(train) == 8 and len(val) == 4 and not sources[0] & sources[1]


@pytest.mark.slow
def test_learns(tmp_path):
    """Two motions, chance 50 %: one frame does not tell them apart."""
    for seed in range(160):
        write_video(tmp_path / 'data' / ('sideways', 'downwards')[seed % 2] / f'{seed:03}.mp4', seed)
    arch = dict(depths=[1, 1, 2, 1], embed_dims=[16, 32, 64, 128], head_dim=32, mlp_ratio=3)
    report = run('video', tmp_path / 'data', tmp_path / 'out', arch=arch, frames=8, size=64, epochs=12, batch_size=16,
                 cfg_options={'model.backbone.temporal_kernel': 3})
    assert reported(report, 'acc/top1') >= 0.9
