"""From COCO keypoints to a pose estimator, of people and of anything, and what is wrong with keypoints."""
import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmuniformer.datasets.generated.keypoints import generate_keypoints
from mmuniformer.finetune import FinetuneError
from mmuniformer.finetune.tasks.pose import _other_side
from mmuniformer.models import UniFormer

from .conftest import ARCH, LEARNER, pictures, reported, run, snippet, untrained

NAMES = ['left tip', 'right tip', 'middle']
#: A head as small as the network.
HEAD = {'model.head.deconv_out_channels': [16, 16, 16]}


def draw(root, count=10, edit=None):
    """``root/N.png`` of one bar each, whose ends and middle are the keypoints, and ``root/keypoints.json``."""
    root.mkdir(parents=True)
    content = dict(images=[], annotations=[], categories=[
        dict(id=2, name='thing'), dict(id=5, name='bar', keypoints=NAMES, skeleton=[[1, 3], [3, 2]])])
    for number in range(count):
        rng = np.random.default_rng(number)
        image = np.full((64, 80, 3), 40, np.uint8)
        ends = [tuple(rng.integers((low, 5), (high, 59)).tolist()) for low, high in ((5, 25), (50, 75))]
        cv2.line(image, *ends, (0, 200, 255), 4)
        cv2.imwrite(str(root / f'{number}.png'), image)
        points = [*ends, tuple(np.mean(ends, axis=0).tolist())]
        low, high = np.min(ends, axis=0) - 4., np.max(ends, axis=0) + 4.
        content['images'].append(dict(id=number, file_name=f'{number}.png', height=64, width=80))
        content['annotations'].append(dict(
            id=number, image_id=number, category_id=5, bbox=[*low.tolist(), *(high - low).tolist()], iscrowd=0,
            keypoints=[value for x, y in points for value in (x, y, 2)]))
    if edit:
        edit(content)
    (root / 'keypoints.json').write_text(json.dumps(content))
    return root


def test_train(tmp_path):
    report = run('pose', draw(tmp_path / 'data'), tmp_path / 'out', epochs=1, size=64, batch_size=4,
                 cfg_options=HEAD)
    text = report.read_text()
    for line in ('coco/AP', '| left tip | 2 |', '| middle | 2 |', 'within 10% of the box'):
        assert line in text
    assert {'curve.png', 'mistakes.png'} == set(pictures(report))
    cfg = Config.fromfile(tmp_path / 'out/config.py')
    info = cfg.train_dataloader.dataset.dataset.metainfo
    assert [point.swap for point in info.keypoint_info.values()] == ['right tip', 'left tip', '']
    assert [link.link for link in info.skeleton_info.values()] == [('left tip', 'middle'), ('middle', 'right tip')]
    assert cfg.model.head.out_channels == 3 and cfg.codec.input_size == (64, 96)
    scope = {}
    exec(snippet(report, {'image.jpg': str(tmp_path / 'data/0.png')}), scope)
    assert scope['result'].pred_instances.keypoints.shape == (1, 3, 2)


def test_loaded_weights_and_a_new_head_learn_at_the_rate_of_the_recipe(tmp_path):
    torch.save(UniFormer(ARCH).state_dict(), tmp_path / 'weights.pth')
    config = run('pose', draw(tmp_path / 'data'), tmp_path / 'out', batch_size=4, prepare=True,
                 pretrained=str(tmp_path / 'weights.pth'))
    optim_wrapper = Config.fromfile(config).optim_wrapper
    assert optim_wrapper.optimizer.lr == pytest.approx(2e-3 * (4 / 1024) ** 0.5, rel=0.01)
    assert 'custom_keys' not in optim_wrapper.paramwise_cfg


def test_people(shared, tmp_path):
    """COCO's own keypoints need no description."""
    report = run('pose', shared / 'data/coco/instances_keypoints.json', tmp_path / 'out', epochs=1, size=64,
                 batch_size=4, val_share=0.5, cfg_options=HEAD)
    assert '| left_ankle |' in report.read_text()
    cfg = Config.fromfile(tmp_path / 'out/config.py')
    assert 'metainfo' not in cfg.val_dataloader.dataset and cfg.model.head.out_channels == 17
    assert any(step.type == 'RandomHalfBody' for step in cfg.train_pipeline)


def test_faults(tmp_path, capsys):
    def edit(content):
        content['annotations'][0]['keypoints'].pop()
        del content['annotations'][1]['keypoints']
        content['annotations'][2]['keypoints'][:2] = [790, 5]
        content['annotations'][3]['keypoints'][2::3] = [0, 0, 0]
        content['annotations'][4]['keypoints'][0] = None

    data = draw(tmp_path / 'data', edit=edit)
    with pytest.raises(FinetuneError, match='BAD above'):
        run('pose', data, tmp_path / 'out')
    table = capsys.readouterr().out
    for fault in ('BAD   annotations without 3 x 3 numbers of keypoints',
                  'BAD   annotations with keypoints far from their box',
                  'note  objects without a labelled keypoint, not used'):
        assert fault in table, fault
    run('pose', data, tmp_path / 'out', skip_bad=True, prepare=True, batch_size=2)
    parts = [json.loads((tmp_path / f'out/data/{name}.json').read_text()) for name in ('train', 'val')]
    assert sum(len(part['annotations']) for part in parts) == 5
    assert all(annotation['num_keypoints'] == 3 for part in parts for annotation in part['annotations'])


class TestBadInput:

    def check(self, message, data, out, **options):
        with pytest.raises(FinetuneError, match=message) as caught:
            run('pose', data, out, **options)
        assert '\n' not in str(caught.value)

    def test_boxes_alone(self, tmp_path):
        data = draw(tmp_path / 'data', edit=lambda content: content['categories'][1].pop('keypoints'))
        self.check('has no keypoints: none of its categories', data, tmp_path / 'out')

    @pytest.mark.parametrize('change, message', [
        (dict(keypoints=3), 'needs the list of the names of the keypoints in its category bar, not 3'),
        (dict(skeleton=[[0, 1], [1, 2]]), r'skeleton with \[0, 1\]: .* counted from 1 to 3'),
        (dict(skeleton=[[1, 4]]), r'skeleton with \[1, 4\]: .* counted from 1 to 3'),
    ])
    def test_category(self, tmp_path, change, message):
        data = draw(tmp_path / 'data', edit=lambda content: content['categories'][1].update(change))
        self.check(message, data, tmp_path / 'out')

    def test_two_categories(self, tmp_path):
        data = draw(tmp_path / 'data', edit=lambda content: content['categories'][0].update(keypoints=NAMES))
        self.check(r'2 categories with keypoints \(thing, bar\)', data, tmp_path / 'out')

    def test_other_keypoints_in_val(self, tmp_path):
        val = draw(tmp_path / 'val', edit=lambda content: content['categories'][1].update(keypoints=NAMES[:2]))
        self.check(r'other keypoints \(2\) than the training data \(3\)', draw(tmp_path / 'data'), tmp_path / 'out',
                   val=val)


@pytest.mark.parametrize('name, other', [('left_eye', 'right_eye'), ('Right_Eye', 'left_eye'), ('l_ear', 'r_ear'),
                                         ('paw_r', 'paw_l'), ('nose', ''), ('left_horn', '')])
def test_other_side(name, other):
    names = ['left_eye', 'right_eye', 'l_ear', 'r_ear', 'paw_l', 'paw_r', 'nose', 'left_horn']
    assert _other_side(name, names) == other


@pytest.mark.slow
def test_learns(tmp_path):
    """17 keypoints of jointed figures."""
    root = generate_keypoints(tmp_path / 'data', train=400, val=60)
    train, val = (root / f'annotations/person_keypoints_{name}2017.json' for name in ('train', 'val'))
    report = run('pose', train, tmp_path / 'out', val=val, arch=LEARNER, epochs=20, size=96, batch_size=32,
                 cfg_options={'model.head.deconv_out_channels': [64, 64, 64]})
    assert untrained(report, tmp_path / 'untrained')['coco/AP .5'] < 0.02
    assert reported(report, 'coco/AP .5') >= 0.35
