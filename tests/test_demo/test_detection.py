"""The demo of detection: scenes of shapes, their files in COCO's format, and the demo as a command."""
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmuniformer.datasets.generated.drawing import SHAPES, colours
from mmuniformer.datasets.generated.instances import CLASSES, draw_instances, generate_instances
from mmuniformer.datasets.generated.scene import MIN_VISIBLE, draw_scene

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs/demo/uniformer-demo_detection.py'


@pytest.fixture(scope='module')
def scenes() -> list:
    return [draw_instances(np.random.default_rng([5, i]), (64, 64)) for i in range(250)]


def placement(instance) -> tuple[complex, complex]:
    """Size and angle, and the centre, of the similarity that makes the outline of the shape."""
    shape, outline = (points @ [1, 1j] for points in (SHAPES[instance.label], instance.outline))
    (turn, centre), residual = np.linalg.lstsq(np.stack([shape, np.ones_like(shape)], 1), outline, rcond=None)[:2]
    assert np.abs(residual).max() < 1e-6
    return turn, centre


class TestScene:

    def test_polygons_are_what_nothing_hides(self, scenes):
        """Compared with Shapely's geometry of the whole outlines."""
        from shapely.geometry import Polygon
        hidden = 0
        for scene in scenes[:60]:
            for i, instance in enumerate(scene.instances):
                visible = Polygon(instance.outline)
                whole = visible.area
                for other in scene.instances[i + 1:]:
                    visible = visible.difference(Polygon(other.outline))
                area = sum(Polygon(polygon).area for polygon in instance.polygons)
                common = sum(Polygon(polygon).buffer(0).intersection(visible).area for polygon in instance.polygons)
                assert common / (area + visible.area - common) > 0.9
                assert visible.area > 0.95 * MIN_VISIBLE * whole
                hidden += visible.area < 0.97 * whole
        assert hidden > 30

    def test_masks(self, scenes):
        for scene in scenes[:60]:
            masks = np.stack([instance.mask for instance in scene.instances])
            assert masks.sum(0).max() == 1
            for instance in scene.instances:
                area = sum(cv2.contourArea(polygon.astype(np.float32)) for polygon in instance.polygons)
                assert abs(instance.mask.sum() - area) < 0.08 * area + 4

    def test_picture_shows_the_shapes(self):
        """In one plain colour each, all pixels inside of a mask are alike, and unlike those of the others."""
        scene = draw_scene(np.random.default_rng(3), [0, 1, 2, 3], contrast=0.)
        kernel = np.ones((3, 3), np.uint8)
        inside = [cv2.erode(instance.mask.astype(np.uint8), kernel) > 0 for instance in scene.instances]
        pixels = [scene.image[mask].astype(int) for mask in inside]
        assert all(len(each) > 100 and np.ptp(each, axis=0).max() <= 1 for each in pixels)
        means = [each.mean(0) for each in pixels]
        assert min(np.abs(means[i] - means[j]).max() for i in range(4) for j in range(i)) > 68

    def test_only_outlines_tell_classes(self, scenes):
        """Mean size, place, angle, colour and rank of each class are those of all, within what chance allows."""
        rows, labels = [], []
        for scene in scenes:
            for rank, instance in enumerate(scene.instances):
                turn, centre = placement(instance)
                colour = scene.image[instance.mask].mean(0)
                rows.append([abs(turn), np.cos(np.angle(turn)), np.sin(np.angle(turn)), centre.real, centre.imag,
                             *colour, rank, len(scene.instances)])
                labels.append(instance.label)
        rows, labels = np.array(rows), np.array(labels)
        assert len(set(labels)) == len(CLASSES)
        for label in set(labels):
            mine = rows[labels == label]
            assert len(mine) > 100
            deviation = np.abs(mine.mean(0) - rows.mean(0)) / (rows.std(0) / np.sqrt(len(mine)))
            assert deviation.max() < 4.5

    def test_no_place(self):
        with pytest.raises(ValueError, match='no place for 6 shapes .* draw fewer'):
            draw_scene(np.random.default_rng(0), [0] * 6, radius=(0.45, 0.5))

    def test_brighter(self):
        """In the mean of the channels, each shape than the ground; of each other they differ in one channel."""
        darker = 0
        for i in range(40):
            ground, *shapes = colours(np.random.default_rng(i), 0.2, brighter=True, shapes=3).mean(1)
            assert min(shape.mean() - ground.mean() for shape in shapes) > 70
            assert min(np.abs(shapes[one] - shapes[other]).max() for one, other in ((0, 1), (0, 2), (1, 2))) > 70
            ground, *shapes = colours(np.random.default_rng(i), 0.2, shapes=3).mean(1)
            darker += sum(shape.mean() < ground.mean() for shape in shapes)
        assert darker > 20

    def test_colours_depend_on_nothing_but_the_seed(self):
        """Colourings are tried many at once, and yet what is drawn after them is what would be if they were not."""
        rng, other = np.random.default_rng(5), np.random.default_rng(5)
        found, tries, tried = colours(rng, contrast=0., apart=140, shapes=3)[:, 0], 0, None
        while not np.array_equal(tried, found):
            tried = other.uniform(0, 255, (4, 2, 3)).astype(np.float32)[:, 0]
            tries += 1
            assert tries < 10000
        assert tries > 64 and rng.random() == other.random()


def digest(root: Path) -> dict:
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in root.rglob('*.*') if file.name != 'generated.json'}


class TestFiles:

    def test_as_mmdetection_reads_them(self, tmp_path):
        from mmdet.datasets import CocoDataset
        from mmdet.registry import DATASETS
        from mmengine.registry import init_default_scope
        init_default_scope('mmdet')
        cfg = Config.fromfile(CONFIG)
        assert tuple(cfg.metainfo.classes) == CLASSES and len(cfg.metainfo.palette) == len(CLASSES)
        assert cfg.model.roi_head.bbox_head.num_classes == cfg.model.roi_head.mask_head.num_classes == len(CLASSES)
        generate_instances(tmp_path, train=10, val=6)
        for loader, count in ((cfg.train_dataloader, 10), (cfg.val_dataloader, 6)):
            arguments = {**loader.dataset, 'data_root': str(tmp_path), 'pipeline': cfg.test_pipeline}
            dataset = DATASETS.build(arguments)
            assert isinstance(dataset, CocoDataset)
            assert len(dataset) == count
            entries = json.loads((tmp_path / loader.dataset.ann_file).read_text())
            assert [category['name'] for category in entries['categories']] == list(CLASSES)
            areas = {(entry['image_id'], *entry['bbox'][:2]): entry['area'] for entry in entries['annotations']}
            for sample in (dataset[i] for i in range(count)):
                truth = sample['data_samples'].gt_instances
                assert 2 <= len(truth) <= 5
                assert sample['inputs'].shape == (3, 128, 128)
                boxes = truth.bboxes.tensor.numpy()
                assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= 128).all()
                for box, mask in zip(boxes, truth.masks.masks):
                    area = next(value for (image, x, y), value in areas.items()
                                if image == sample['data_samples'].img_id and np.allclose((x, y), box[:2], atol=1e-3))
                    assert abs(mask.sum() - area) < 0.08 * area + 4
                    y, x = np.nonzero(mask)
                    assert np.abs(box - (x.min(), y.min(), x.max() + 1, y.max() + 1)).max() < 2.5

    def test_the_seed_decides(self, tmp_path):
        small = dict(train=4, val=2, size=(64, 64))
        one, same = (digest(generate_instances(tmp_path / name, **small)) for name in 'ab')
        other = digest(generate_instances(tmp_path / 'c', seed=1, **small))
        larger = digest(generate_instances(tmp_path / 'd', **{**small, 'train': 5}))
        assert one == same and len(one) == 8
        assert not set(one.values()) & set(other.values())
        assert all(larger[name] == value for name, value in one.items() if name.endswith('png'))

    def test_interrupted(self, tmp_path):
        whole = digest(generate_instances(tmp_path, train=4, val=2, size=(64, 64)))
        (tmp_path / 'train2017/000000000003.png').unlink()
        (tmp_path / 'generated.json').write_text((tmp_path / 'generated.json').read_text().replace('true', 'false'))
        assert digest(generate_instances(tmp_path, train=4, val=2, size=(64, 64))) == whole

    def test_empty_split(self, tmp_path):
        with pytest.raises(ValueError, match='val=0: a split needs at least one image'):
            generate_instances(tmp_path / 'data', val=0)


class TestFound:
    boxes = torch.tensor([[0., 0, 10, 10], [20, 20, 40, 40]])

    def count(self, boxes, labels, scores) -> tuple[int, int]:
        from demokit.detection import found
        from mmdet.structures.bbox import HorizontalBoxes
        from mmengine.structures import InstanceData
        truth = InstanceData(bboxes=HorizontalBoxes(self.boxes), labels=torch.tensor([1, 2]))
        return found(truth, dict(bboxes=boxes, labels=torch.tensor(labels), scores=torch.tensor(scores)))

    def test_all(self):
        assert self.count(self.boxes + 0.5, [1, 2], [0.9, 0.6]) == (2, 0)

    @pytest.mark.parametrize('shift, labels, scores, expected', [
        (0, [2, 1], [0.9, 0.9], (0, 2)),  # the classes are the other's
        (0, [1, 2], [0.9, 0.4], (1, 0)),  # the second is not sure enough
        (9, [1, 2], [0.9, 0.9], (0, 2)),  # beside the objects
    ])
    def test_not_all(self, shift, labels, scores, expected):
        assert self.count(self.boxes + shift, labels, scores) == expected

    def test_twice_the_same(self):
        assert self.count(self.boxes[[0, 0, 1]], [1, 1, 2], [0.8, 0.9, 0.9]) == (2, 1)

    def test_none(self):
        assert self.count(torch.zeros(0, 4), [], []) == (0, 0)


def command(folder: Path, *options: str) -> list[str]:
    return [sys.executable, str(ROOT / 'demo/train_demo.py'), '--task', 'detection',
            '--work-dir', str(folder / 'out'), '--data-root', str(folder / 'data'), *options]


def check_outcome(folder: Path) -> dict:
    report = json.loads((folder / 'out/report.json').read_text())
    assert (report['task'], report['metric']) == ('detection', 'coco/bbox_mAP_50')
    assert set(report['others']) == {'coco/bbox_mAP', 'coco/segm_mAP', 'coco/segm_mAP_50'}
    for pair in (report, *report['others'].values()):
        assert 0 <= pair['value'] <= 1 and 0 <= pair['baseline'] < 0.1
    assert report['one_frame_value'] is None
    assert (folder / report['checkpoint']).is_file()
    for name in ('learning_curve.png', 'contact_sheet.png'):
        assert cv2.imread(str(folder / 'out' / name)).std() > 10
    return report


def test_small(tmp_path):
    """The whole demo on a few images: it draws, takes steps, tests, and leaves its report and pictures."""
    options = ('--min-value', '0', '--cfg-options', 'generator.train=4', 'generator.val=4', 'train_cfg.max_epochs=1',
               'default_hooks.logger.interval=1')
    done = subprocess.run(command(tmp_path, *options), cwd=tmp_path, text=True, capture_output=True, timeout=600,
                          env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    check_outcome(tmp_path)
    assert (tmp_path / 'out/epoch_1.pth').is_file()


@pytest.mark.slow
def test_whole(tmp_path):
    from demokit.detection import Detection
    done = subprocess.run(command(tmp_path), cwd=tmp_path, text=True, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert check_outcome(tmp_path)['value'] >= Detection.floor
