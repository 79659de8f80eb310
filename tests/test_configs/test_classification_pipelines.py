"""The classification configs' data loaders and tests on generated files."""
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, set_random_seed

import mmuniformer  # noqa: F401
from mmuniformer.datasets.transforms import TokenLabelError

FOLDER = Path(__file__).resolve().parents[2] / 'configs/classification'
#: Configs that between them have every pipeline; side of their images.
CASES = {
    'uniformer/uniformer-small_8xb128_in1k': 224,
    'uniformer/uniformer-small_8xb128-token-label_in1k': 224,
    'uniformer/uniformer-large_8xb32-token-label_in1k-384px': 384,
    'uniformer_light/uniformer-xxs_8xb512_in1k-128px': 128,
    'uniformer_light/uniformer-xs_8xb512_in1k-192px': 192,
}
TOKEN_LABEL = [name for name in CASES if 'token-label' in name]


@pytest.fixture(autouse=True)
def _mmpretrain():
    init_default_scope('mmpretrain')
    set_random_seed(0)


@pytest.fixture
def data(tmp_path) -> Path:
    """12 images of two classes, blue-green and red, in ImageNet's folders, with label maps."""
    for split in ('train', 'val'):
        for label, colour in enumerate([(160, 120, 20), (20, 30, 200)]):
            folder = tmp_path / split / f'n{label}'
            folder.mkdir(parents=True)
            for index in range(6):
                cv2.imwrite(str(folder / f'n{label}_{index}.JPEG'), np.full((90, 120, 3), colour, np.uint8))
    for image in (tmp_path / 'train').rglob('*.JPEG'):
        label = int(image.parent.name[1])
        scores = torch.tensor([8., 4, 3, 2, 1]).view(5, 1, 1).expand(5, 18, 18)
        classes = ((torch.arange(5) + label) % 5).view(5, 1, 1).expand(5, 18, 18)
        (tmp_path / 'labels' / image.parent.name).mkdir(parents=True, exist_ok=True)
        torch.save(torch.stack([scores, classes]).half(), tmp_path / 'labels' / image.parent.name / f'{image.stem}.pt')
    return tmp_path


def loader(name: str, phase: str, data: Path):
    cfg = Config.fromfile(str(FOLDER / f'{name}.py'))
    loader_cfg = cfg[f'{phase}_dataloader']
    loader_cfg.update(batch_size=4, num_workers=0, persistent_workers=False)
    loader_cfg.dataset.update(data_root=str(data), metainfo=dict(classes=('blue', 'red')))
    for each in loader_cfg.dataset.pipeline:
        if 'folder' in each:
            each.folder = str(data / 'labels')
    return cfg, Runner.build_dataloader(loader_cfg, seed=0)


@pytest.mark.parametrize('name', CASES)
def test_training(name, data):
    side = CASES[name]
    cfg, batches = loader(name, 'train', data)
    seen = Counter()
    for batch in batches:
        for image, sample in zip(batch['inputs'], batch['data_samples']):
            assert image.shape == (3, side, side) and image.dtype == torch.uint8
            seen[sample.img_path] += 1
            if 'token-label' in name:
                assert sample.token_score.shape == (1000, side // 32, side // 32)
                assert sample.gt_score.argmax() == sample.gt_label and sample.gt_score.shape == (1000, )
                torch.testing.assert_close(sample.token_score.float().sum(0), torch.ones(side // 32, side // 32),
                                           atol=1e-2, rtol=0)
    assert len(batches) == 3 and sum(seen.values()) == 12
    if cfg.train_dataloader.sampler.type == 'RepeatAugSampler':
        assert max(seen.values()) == 3 and len(seen) == 4  # an epoch is a third of the images, three times
    else:
        assert set(seen.values()) == {1}


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('phase', ['val', 'test'])
def test_evaluation(name, data, phase):
    from mmpretrain.registry import MODELS
    side = CASES[name]
    cfg, batches = loader(name, phase, data)
    preprocess = MODELS.build(dict(cfg.data_preprocessor, type='ClsDataPreprocessor'))
    labels = []
    for batch in batches:
        given = preprocess(batch)['inputs']
        assert given.shape == (4, 3, side, side)
        for image, sample in zip(given, batch['data_samples']):
            labels.append(sample.gt_label.item())
            rgb = image.mean((1, 2)) * torch.tensor([58.395, 57.12, 57.375]) + torch.tensor([123.675, 116.28, 103.53])
            expected = torch.tensor([20., 120, 160] if labels[-1] == 0 else [200., 30, 20])
            torch.testing.assert_close(rgb, expected, atol=3, rtol=0)
    assert labels == [0] * 6 + [1] * 6


@pytest.mark.parametrize('name', TOKEN_LABEL)
def test_missing_label_maps(name, data):
    cfg, batches = loader(name, 'train', data)
    next(iter(batches))
    (data / 'labels').rename(data / 'elsewhere')
    with pytest.raises(TokenLabelError, match='there is no folder .*labels of label maps'):
        next(iter(batches))
