"""The generated images: the same every time, as many of each class, and told apart by their outlines."""
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmuniformer.datasets.generated.shapes import NAMES, draw_shape, generate_shapes

ROOT = Path(__file__).resolve().parents[2]


def digest(root) -> dict:
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in root.rglob('*.png')}


def test_files_as_mmpretrain_reads_them(tmp_path):
    from mmengine.registry import init_default_scope
    init_default_scope('mmpretrain')
    from mmpretrain.datasets import CustomDataset
    root = generate_shapes(tmp_path / 'data', train=40, val=20, size=48)
    for name, count in (('train', 40), ('val', 20)):
        dataset = CustomDataset(data_root=str(root), data_prefix=name, pipeline=[dict(type='LoadImageFromFile')])
        assert np.bincount(dataset.get_gt_labels()).tolist() == [count // 10] * 10
        assert [label.partition(' ')[2] for label in dataset.CLASSES] == list(NAMES)
        assert all(item['img'].shape == (48, 48, 3) for item in dataset)
    assert len(set(digest(root).values())) == 60


def test_the_seed_decides(tmp_path):
    one, same = (digest(generate_shapes(tmp_path / name, train=20, val=10, size=32)) for name in 'ab')
    other = digest(generate_shapes(tmp_path / 'c', train=20, val=10, seed=1, size=32))
    larger = digest(generate_shapes(tmp_path / 'd', train=30, val=10, size=32))
    assert one == same and not set(one.values()) & set(other.values())
    assert set(one.items()) < set(larger.items())


def test_interrupted(tmp_path):
    whole = digest(generate_shapes(tmp_path / 'a', train=20, val=10, size=32))
    lost = tmp_path / 'a/train/3 four-pointed star/00013.png'
    lost.unlink()
    (tmp_path / 'a/generated.json').write_text((tmp_path / 'a/generated.json').read_text().replace('true', 'false'))
    assert digest(generate_shapes(tmp_path / 'a', train=20, val=10, size=32)) == whole


def test_uneven_classes(tmp_path):
    with pytest.raises(ValueError, match='train=25: the images of a split must be a multiple of 10'):
        generate_shapes(tmp_path / 'data', train=25)


@pytest.mark.parametrize('label', range(len(NAMES)))
def test_shape_is_whole_and_brighter(label):
    """Every shape lies inside of the image and shows."""
    for seed in range(10):
        image = draw_shape(np.random.default_rng([label, seed]), label, 64).astype(float).mean(2)
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        bright = image > (np.median(border) + image.max()) / 2
        assert 0.02 < bright.mean() < 0.6
        assert cv2.connectedComponents(bright.astype(np.uint8))[0] >= 2


def test_demo(tmp_path):
    """The whole demo, small: it draws, learns a little, tests, and leaves its report and pictures."""
    args = [sys.executable, str(ROOT / 'demo/train_demo.py'), '--task', 'classification', '--min-value', '0',
            '--work-dir', str(tmp_path / 'out'), '--data-root', str(tmp_path / 'data'), '--cfg-options',
            'generator.train=20', 'generator.val=10', 'train_dataloader.batch_size=4', 'train_cfg.max_epochs=1']
    done = subprocess.run(args, cwd=tmp_path, text=True, capture_output=True, timeout=300,
                          env=dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(ROOT)))
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert (report['task'], report['metric'], report['baseline']) == ('classification', 'accuracy/top1', 10)
    assert report['value'] in range(0, 101, 10) and report['one_frame_value'] is None
    for name in ('learning_curve.png', 'contact_sheet.png'):
        assert cv2.imread(str(tmp_path / 'out' / name)).std() > 10
