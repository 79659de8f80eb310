"""The video configs' data loaders on files: generated ones, and real videos where they are at hand."""
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed

import mmuniformer  # noqa: F401

FOLDER = Path(__file__).resolve().parents[2] / 'configs/recognition/uniformer'
#: Configs that between them have every pipeline; views of a video in the test.
CASES = {
    'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb': 4,
    'uniformer-base_imagenet1k-pre_8x8x1_kinetics400-rgb': 4,
    'uniformer-small_k400-pre_16x4x1_ucf101-rgb': 15,
    'uniformer-small_k400-pre_u16_sthv1-rgb': 3,
    'uniformer-small_k400-pre_u16_sthv2-rgb': 3,
}


@pytest.fixture(autouse=True)
def _mmaction():
    init_default_scope('mmaction')
    import mmaction.datasets
    import mmaction.models  # noqa: F401
    set_random_seed(0)


def frames(speed: int) -> list:
    """40 frames of a bright square that moves to the right."""
    made = []
    for index in range(40):
        made.append(np.full((96, 128, 3), 60, np.uint8))
        left = (8 + speed * index) % 104
        made[-1][40:64, left:left + 24] = (40, 160, 240)
    return made


@pytest.fixture
def data(tmp_path) -> Path:
    """Two videos, as files and as folders of frames, with their lists."""
    for name, speed in (('slow', 1), ('fast', 3)):
        writer = cv2.VideoWriter(str(tmp_path / f'{name}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 25, (128, 96))
        (tmp_path / name).mkdir()
        for number, frame in enumerate(frames(speed), 1):
            writer.write(frame)
            cv2.imwrite(str(tmp_path / name / f'{number:05}.jpg'), frame)
        writer.release()
    (tmp_path / 'videos.txt').write_text('slow.mp4 0\nfast.mp4 1\n')
    (tmp_path / 'frames.txt').write_text('slow 40 0\nfast 40 1\n')
    return tmp_path


def loader(name: str, phase: str, data: Path, videos: Path = None):
    cfg = Config.fromfile(str(FOLDER / f'{name}.py'))
    loader_cfg = cfg[f'{phase}_dataloader']
    if loader_cfg.dataset.type == 'RawframeDataset':
        loader_cfg.dataset.update(ann_file=str(data / 'frames.txt'), data_prefix=dict(img=str(data)))
    else:
        loader_cfg.dataset.update(ann_file=str(data / 'videos.txt'), data_prefix=dict(video=str(videos or data)))
    loader_cfg.update(batch_size=2, num_workers=0, persistent_workers=False)
    return cfg, Runner.build_dataloader(loader_cfg, seed=0)


@pytest.mark.parametrize('name', CASES)
class TestGenerated:

    def test_training(self, name, data):
        cfg, batches = loader(name, 'train', data)
        clip_len = cfg.train_pipeline[1].clip_len
        batch, = batches
        labels = [sample.gt_label.item() for sample in batch['data_samples']]
        assert len(labels) == 4 and labels[0] == labels[1] != labels[2] == labels[3]
        for clip in batch['inputs']:
            assert clip.shape == (1, 3, clip_len, 224, 224) and clip.dtype == torch.uint8
        for one, other in (batch['inputs'][:2], batch['inputs'][2:]):
            assert not torch.equal(one, other)

    @pytest.mark.parametrize('phase', ['val', 'test'])
    def test_evaluation(self, name, data, phase):
        cfg, batches = loader(name, phase, data)
        views = CASES[name] if phase == 'test' else 1
        clip_len = cfg.train_pipeline[1].clip_len
        first, again = next(iter(batches)), next(iter(batches))
        assert [sample.gt_label.item() for sample in first['data_samples']] == [0, 1]
        for clip, same in zip(first['inputs'], again['inputs']):
            assert clip.shape == (views, 3, clip_len, 224, 224) and clip.dtype == torch.uint8
            assert torch.equal(clip, same)
            # Colours arrive as RGB, for red is the square's strongest channel.
            square = (clip.float() - 60).abs().mean((0, 2, 3, 4))
            assert square[0] > square[1] > square[2]


@pytest.mark.parametrize('phase', ['train', 'test'])
@pytest.mark.parametrize('name', [name for name in CASES if 'sthv1' not in name])
def test_real_videos(name, phase, shared, tmp_path):
    videos = shared / 'data/video'
    names = ['demo.mp4', 'demo_skeleton.mp4', 'test.mp4', 'Tw2yXa6CzWE.mp4']
    (tmp_path / 'videos.txt').write_text(''.join(f'{video} {label}\n' for label, video in enumerate(names)))
    cfg, batches = loader(name, phase, tmp_path, videos)
    labels = []
    for batch in batches:
        labels += [sample.gt_label.item() for sample in batch['data_samples']]
        for clip in batch['inputs']:
            assert clip.shape[1:] == (3, cfg.train_pipeline[1].clip_len, 224, 224)
            assert clip.float().std() > 1
    assert sorted(labels) == sorted([0, 1, 2, 3] * (2 if phase == 'train' else 1))
