"""The generated scenes: masks in ADE20K's format that MMSegmentation reads, and the demo that learns from them."""
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmuniformer.datasets.generated.masks import CLASSES, draw_masked, generate_masks

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, str(ROOT / 'demo/train_demo.py'), '--task', 'segmentation']


def digest(root) -> dict:
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in root.rglob('*.png')}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return generate_masks(tmp_path_factory.mktemp('masks') / 'data', train=20, val=6, size=64)


def test_files(data):
    for name, count in (('training', 20), ('validation', 6)):
        masks = sorted((data / 'annotations' / name).iterdir())
        assert [file.name for file in sorted((data / 'images' / name).iterdir())] == [file.name for file in masks]
        assert len(masks) == count
        values = [np.unique(cv2.imread(str(file), cv2.IMREAD_UNCHANGED)) for file in masks]
        assert all(value.min() == 1 and 2 <= value.max() <= len(CLASSES) for value in values)
    assert len(np.unique(np.concatenate(values))) > 3


def test_as_mmsegmentation_reads_them(data):
    """The config's own data set, as the Runner builds it, gives the classes of the drawn scene."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    init_default_scope('mmseg')
    import mmseg.datasets  # noqa: F401  (registers the transforms)
    from mmseg.registry import DATASETS
    cfg = Config.fromfile(str(ROOT / 'configs/demo/uniformer-demo_segmentation.py'))
    assert tuple(cfg.metainfo.classes) == CLASSES
    assert cfg.model.decode_head.num_classes == len(cfg.metainfo.palette) == len(CLASSES)
    cfg.val_dataloader.dataset.data_root = str(data)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    assert len(dataset) == 6
    for i, item in enumerate(dataset):
        image, mask = draw_masked(np.random.default_rng([0, 1, i]), 64)
        assert (item['inputs'].numpy().transpose(1, 2, 0) == image).all()
        assert (item['data_samples'].gt_sem_seg.data[0].numpy() == mask).all()


def test_masks_fit_the_picture():
    """Inside of a class colours vary less than over the picture: the mask lies where the shapes are."""
    for i in range(10):
        image, mask = draw_masked(np.random.default_rng([3, i]), 96)
        inner = cv2.erode(np.uint8(mask == 0), np.ones((3, 3))) > 0
        shapes = cv2.erode(np.uint8(mask > 0), np.ones((3, 3))) > 0
        ground, shape = image[inner].astype(float), image[shapes].astype(float)
        far = np.abs(shape - ground.mean(0)).max(1)
        near = np.abs(ground - ground.mean(0)).max(1)
        assert np.median(far) > 50 > np.median(near)
        assert shape.mean() > ground.mean() + 30


def test_the_seed_decides(tmp_path):
    one, same = (digest(generate_masks(tmp_path / name, train=4, val=2, size=64)) for name in 'ab')
    other = digest(generate_masks(tmp_path / 'c', train=4, val=2, seed=1, size=64))
    larger = digest(generate_masks(tmp_path / 'd', train=5, val=2, size=64))
    assert one == same and not set(one.values()) & set(other.values())
    assert set(one.items()) < set(larger.items())


def test_interrupted(tmp_path):
    whole = digest(generate_masks(tmp_path / 'a', train=4, val=2, size=64))
    for lost in ('annotations/training/00002.png', 'annotations/validation/00001.png', 'images/validation/00001.png'):
        (tmp_path / 'a' / lost).unlink()
    (tmp_path / 'a/generated.json').write_text((tmp_path / 'a/generated.json').read_text().replace('true', 'false'))
    assert digest(generate_masks(tmp_path / 'a', train=4, val=2, size=64)) == whole


def test_empty_split(tmp_path):
    with pytest.raises(ValueError, match='val=0: a split needs at least one image'):
        generate_masks(tmp_path / 'data', val=0)


def test_image_iou():
    from demokit.segmentation import image_iou
    true = np.array([[0, 0, 1, 1], [0, 0, 1, 255]], np.uint8)
    assert image_iou(dict(gt_sem_seg=true, pred_sem_seg=np.where(true == 255, 3, true))) == 1
    # class 0: 2 of 4 pixels; class 1: 2 of 5; class 2: predicted once, nowhere true
    predicted = np.array([[0, 0, 1, 1], [1, 1, 2, 0]], np.uint8)
    assert image_iou(dict(gt_sem_seg=true, pred_sem_seg=predicted)) == pytest.approx((2 / 4 + 2 / 5 + 0) / 3)


def test_demo(tmp_path):
    """The whole demo, small: it draws, learns a little, tests, and leaves its report and pictures."""
    args = [*DEMO, '--min-value', '0', '--work-dir', str(tmp_path / 'out'), '--data-root', str(tmp_path / 'data'),
            '--cfg-options', 'generator.train=8', 'generator.val=4', 'train_dataloader.batch_size=4',
            'train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'default_hooks.logger.interval=1']
    done = subprocess.run(args, cwd=tmp_path, text=True, capture_output=True, timeout=300,
                          env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert (report['task'], report['metric']) == ('segmentation', 'mIoU')
    assert 0 <= report['value'] <= 100 and 0 <= report['baseline'] < 40 and report['one_frame_value'] is None
    assert set(report['others']) == {'mAcc', 'aAcc'}
    for name in ('learning_curve.png', 'contact_sheet.png'):
        assert cv2.imread(str(tmp_path / 'out' / name)).std() > 10
    # 4 images of 96 x 96, the classes alone
    assert (tmp_path / 'out/test/predictions.pkl').stat().st_size < 2 * 4 * 96 * 96 + 10000


@pytest.mark.slow
def test_whole(tmp_path):
    from demokit.segmentation import Segmentation
    done = subprocess.run(DEMO, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    report = json.loads((tmp_path / 'work_dirs/demo/segmentation/report.json').read_text())
    assert report['value'] >= Segmentation.floor and report['baseline'] < 40
