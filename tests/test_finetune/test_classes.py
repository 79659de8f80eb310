"""A number of a class means the same name in the lists, the data sets, the checkpoint, the report and predictions."""
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

import mmuniformer.finetune.tasks.image  # noqa: F401  (registers MMPretrain's data sets)
from mmuniformer.apis import Predictor
from mmuniformer.finetune.classes import _natural

from .conftest import run, snippet, write_video

#: Each way to sort them gives another order: by numbers and letters, by characters, without regard to capitals.
NAMES = ['9', '10', 'B', 'a']


@pytest.fixture(scope='module', params=['image', 'video'])
def trained(request, tmp_path_factory):
    """The task, a sample, and the report of a training of an epoch on 5, 10, 15 and 20 samples of the classes."""
    root = tmp_path_factory.mktemp('names')
    for number, name in enumerate(NAMES):
        (root / 'data' / name).mkdir(parents=True)
        for i in range(5 * (number + 1)):
            if request.param == 'video':
                write_video(root / 'data' / name / f'{i}.mp4', 100 * number + i, frames=4)
            else:
                image = np.random.default_rng([number, i]).integers(0, 255, (32, 32, 3), np.uint8)
                cv2.imwrite(str(root / 'data' / name / f'{i}.png'), image)
    report = run(request.param, root / 'data', root / 'out', epochs=1, frames=4)
    return request.param, next((root / 'data/B').iterdir()), report


def test_lists_and_data_sets(trained):
    task, _, report = trained
    cfg = Config.fromfile(report.parent / 'config.py')
    assert cfg.classes == (report.parent / 'data/classes.txt').read_text().split() == NAMES
    for dataset in (cfg.train_dataloader.dataset.dataset, cfg.val_dataloader.dataset):
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            dataset = DATASETS.build(dataset)
        infos = [dataset.get_data_info(number) for number in range(len(dataset))]
        label, path = ('gt_label', 'img_path') if task == 'image' else ('label', 'filename')
        assert [dataset.metainfo['classes'][info[label]] for info in infos] == [
            Path(info[path]).parent.name for info in infos]


def test_report(trained):
    _, _, report = trained
    rows = re.findall(r'^\| (\w+) \| (\d+) \| .* % \|', report.read_text(), re.MULTILINE)
    assert rows == [('9', '1'), ('10', '2'), ('B', '3'), ('a', '4')]


def test_predictions(trained, tmp_path):
    """Of heads that are sure of one class, whatever they see."""
    task, sample, report = trained
    checkpoint = re.search(r'demo/predict.py \S+ (\S+) INPUT', report.read_text())[1]
    content = torch.load(checkpoint, weights_only=False)
    assert list(content['meta']['dataset_meta']['classes']) == NAMES
    head = 'head.fc' if task == 'image' else 'cls_head.fc_cls'
    content['state_dict'][f'{head}.weight'].zero_()
    for number, name in enumerate(NAMES):
        content['state_dict'][f'{head}.bias'].copy_(20 * torch.eye(4)[number])
        torch.save(content, tmp_path / 'sure.pth')
        result = Predictor(str(report.parent / 'config.py'), str(tmp_path / 'sure.pth'), device='cpu')(sample)
        first = (result['frames'][0] if task == 'image' else result)['labels'][0]
        assert (first['label'], first['name']) == (number, name) and first['score'] > 0.99
    scope = {}
    exec(snippet(report, {checkpoint: str(tmp_path / 'sure.pth'),
                          'image.jpg' if task == 'image' else 'video.mp4': str(sample)}), scope)
    said = scope['result']['pred_class'] if task == 'image' else max(zip(scope['scores'], scope['names']))[1]
    assert said == NAMES[-1]


def test_order():
    """Of any names, and the same in every process: names come as a set."""
    names = ['2', '10', '010', 'b', 'a10', 'a2', 'a02', '²', 'B', '']
    expected = ['', '2', '010', '10', 'B', 'a02', 'a2', 'a10', 'b', '²']
    for order in (names, names[::-1]):
        assert sorted(order, key=_natural) == expected
