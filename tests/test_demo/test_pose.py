"""The generated figures: COCO files that MMPose reads, with joints where they are and flags that are true."""
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmuniformer.datasets.generated.keypoints import HIDDEN, KEYPOINTS, OUTSIDE, SEEN, draw_figures, generate_keypoints

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(ROOT / 'demo/train_demo.py'), '--task', 'pose']
SIZE = (96, 120)


def digest(root) -> dict:
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in root.rglob('*') if file.suffix in ('.png', '.json') and file.name != 'generated.json'}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return generate_keypoints(tmp_path_factory.mktemp('keypoints') / 'data', train=24, val=12, size=SIZE)


@pytest.fixture(scope='module')
def annotations(data) -> list:
    return json.loads((data / 'annotations/person_keypoints_train2017.json').read_text())['annotations']


def test_files_as_mmpose_reads_them(data):
    from mmengine.registry import init_default_scope
    init_default_scope('mmpose')
    from mmpose.datasets import CocoDataset
    for name, count in (('train', 24), ('val', 12)):
        dataset = CocoDataset(
            data_root=str(data), ann_file=f'annotations/person_keypoints_{name}2017.json',
            data_prefix=dict(img=f'{name}2017/'), pipeline=[dict(type='LoadImage')])
        assert len(dataset) == count * 3 // 2
        assert tuple(dataset.metainfo['keypoint_id2name'][i] for i in range(17)) == KEYPOINTS
        for item in dataset:
            assert item['img'].shape == (*SIZE, 3) and item['keypoints'].shape == (1, 17, 2)
            assert set(np.unique(item['keypoints_visible'])) <= {0, 1}


def test_as_cocos_own_reader_sees_them(data):
    from pycocotools.coco import COCO
    coco = COCO(str(data / 'annotations/person_keypoints_train2017.json'))
    category, = coco.loadCats(coco.getCatIds())
    assert category['name'] == 'person' and tuple(category['keypoints']) == KEYPOINTS
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation)
        assert mask.shape == SIZE
        # polygons fill holes that the area leaves out
        assert 0.9 * annotation['area'] - 20 < mask.sum() < 1.4 * annotation['area'] + 20
        rows, columns = np.nonzero(mask)
        x, y, width, height = annotation['bbox']
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(np.array([x, y, x + width, y + height]) - found).max() <= 2


def test_keypoints_are_inside_or_flagged(annotations):
    flags = []
    for annotation in annotations:
        keypoints = np.reshape(annotation['keypoints'], (17, 3))
        inside = (keypoints[:, :2] >= -0.5).all(1) & (keypoints[:, :2] < np.array(SIZE[::-1]) - 0.5).all(1)
        assert inside.all()
        assert (keypoints[keypoints[:, 2] == OUTSIDE] == 0).all()
        assert annotation['num_keypoints'] == (keypoints[:, 2] != OUTSIDE).sum() >= 10
        assert (keypoints[:5, 2] == SEEN).any()  # what tells the sides
        flags.append(keypoints[:, 2])
    assert {OUTSIDE, HIDDEN, SEEN} == set(np.unique(flags))


def test_seen_keypoints_lie_on_the_figure():
    """A keypoint that is seen lies in what is seen of its figure, many of the hidden don't."""
    distances = {HIDDEN: [], SEEN: []}
    for i in range(12):
        for figure in draw_figures(np.random.default_rng([5, i]), 2)[1]:
            for x, y, flag in figure.keypoints:
                if flag != OUTSIDE:
                    # distance to the outline, positive inside
                    distances[flag].append(max(
                        cv2.pointPolygonTest(np.float32(polygon), (x + 0.5, y + 0.5), True)
                        for polygon in figure.polygons))
    assert min(distances[SEEN]) > -0.5
    assert np.mean(np.array(distances[HIDDEN]) < 0) > 0.1


def test_sides_follow_from_the_face():
    """The left of who shows the face is on the right of the picture, of who doesn't on the left, however they lean."""
    facing = []
    for i in range(60):
        figure, = draw_figures(np.random.default_rng([6, i]), 1)[1]
        place = dict(zip(KEYPOINTS, figure.keypoints))
        if all(place[f'{side}_{joint}'][2] for side in ('left', 'right') for joint in ('shoulder', 'hip')):
            across = (place['left_hip'] - place['right_hip'])[:2]
            down = (place['left_hip'] + place['right_hip'] - place['left_shoulder'] - place['right_shoulder'])[:2]
            shows = any(place[name][2] == SEEN for name in ('nose', 'left_eye', 'right_eye'))
            hidden_face = all(place[name][2] != SEEN for name in ('nose', 'left_eye', 'right_eye'))
            mirrored = across[0] * down[1] - across[1] * down[0] < 0
            assert not (shows and mirrored)
            facing.append((mirrored, hidden_face))
    assert 3 < sum(mirrored for mirrored, _ in facing) < len(facing) / 2
    assert all(hidden for mirrored, hidden in facing if mirrored)


def test_the_seed_decides(tmp_path):
    one, same = (digest(generate_keypoints(tmp_path / name, train=4, val=2, size=SIZE)) for name in 'ab')
    other = digest(generate_keypoints(tmp_path / 'c', train=4, val=2, seed=1, size=SIZE))
    larger = digest(generate_keypoints(tmp_path / 'd', train=5, val=2, size=SIZE))
    assert one == same and len(one) == 8 and not set(one.values()) & set(other.values())
    assert {file for file in one if one[file] != larger[file]} == {'annotations/person_keypoints_train2017.json'}


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match='val=0: a split needs at least one image'):
        generate_keypoints(tmp_path / 'data', val=0)
    with pytest.raises(ValueError, match='no room for 9 figures in an image of 32 x 32'):
        draw_figures(np.random.default_rng(0), 9, (32, 32))


class TestSimilarity:

    def check(self, shift, flags=2.):
        from demokit.pose import similarity
        keypoints = np.random.default_rng(0).uniform(10, 90, (17, 2))
        truth = np.column_stack([keypoints, np.broadcast_to(flags, 17)])
        return similarity(
            dict(raw_ann_info=dict(keypoints=truth.ravel().tolist(), area=900.),
                 pred_instances=dict(keypoints=keypoints[None] + shift)), np.full(17, 0.05))

    def test_values(self):
        assert self.check(0) == pytest.approx(1)
        # a distance of 3 is one standard deviation: twice 0.05 of a side of 30
        assert self.check(np.array([3., 0])) == pytest.approx(np.exp(-0.5))

    def test_what_is_outside_does_not_count(self):
        shift = np.zeros((17, 2))
        shift[0] = 50
        assert self.check(shift) < 0.95
        assert self.check(shift, [0, *[1] * 16]) == pytest.approx(1)


def test_demo(tmp_path):
    """The whole demo, small: it draws, learns a little, tests, and leaves its report and pictures."""
    args = [*DEMO, '--min-value', '0', '--work-dir', str(tmp_path / 'out'), '--data-root', str(tmp_path / 'data'),
            '--cfg-options', 'generator.train=4', 'generator.val=4', 'train_dataloader.batch_size=3',
            'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'default_hooks.logger.interval=1']
    done = subprocess.run(args, cwd=tmp_path, text=True, capture_output=True, timeout=300,
                          env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert (report['task'], report['metric']) == ('pose', 'coco/AP')
    assert 0 <= report['value'] <= 1 and 0 <= report['baseline'] < 0.05 and report['one_frame_value'] is None
    assert set(report['others']) == {'coco/AP .5', 'coco/AP .75', 'coco/AR'}
    for name in ('learning_curve.png', 'contact_sheet.png'):
        assert cv2.imread(str(tmp_path / 'out' / name)).std() > 10


@pytest.mark.slow
def test_whole(tmp_path):
    from demokit.pose import Pose
    done = subprocess.run(DEMO, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    report = json.loads((tmp_path / 'work_dirs/demo/pose/report.json').read_text())
    assert report['value'] >= Pose.floor and report['baseline'] < 0.05
