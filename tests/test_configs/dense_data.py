"""Data sets of a few generated images in the formats of COCO and ADE20K, and configs pointed at them."""
import json
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

#: Sizes (height, width) of the images that ``coco`` and ``ade`` write by default.
SIZES = ((64, 80), (96, 72), (48, 48), (70, 100))
KEYPOINTS = 17


def _picture(path: Path, size: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.random.RandomState(seed).randint(0, 256, (*size, 3), dtype=np.uint8))


def coco(folder: Path, sizes=SIZES, empty=(), invisible=(), unreadable=()) -> Path:
    """Write images with one person each: a box, its outline, and keypoints.

    Args:
        folder: Where ``images/`` and ``annotations.json`` go.
        sizes: Height and width of each image.
        empty: Indices of images without an annotation.
        invisible: Indices of images whose person has no visible keypoint.
        unreadable: Indices of images whose file is no image.

    Returns:
        The folder.
    """
    images, annotations = [], []
    for index, (height, width) in enumerate(sizes):
        name = f'{index}.png'
        _picture(folder / 'images' / name, (height, width), index)
        if index in unreadable:
            (folder / 'images' / name).write_bytes(b'no image')
        images.append(dict(id=index, file_name=name, height=height, width=width))
        if index in empty:
            continue
        x, y, w, h = width // 8, height // 8, width // 2, height // 2
        points = [[x + w * (i % 4) / 4, y + h * (i % 5) / 5, 0 if index in invisible else 2] for i in range(KEYPOINTS)]
        annotations.append(
            dict(
                id=index + 1,
                image_id=index,
                category_id=1,
                iscrowd=0,
                bbox=[x, y, w, h],
                area=w * h,
                segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]],
                keypoints=[value if point[2] else 0 for point in points for value in point],
                num_keypoints=0 if index in invisible else KEYPOINTS))
    from mmdet.datasets import CocoDataset
    categories = [dict(id=index + 1, name=name) for index, name in enumerate(CocoDataset.METAINFO['classes'])]
    categories[0].update(keypoints=[str(index) for index in range(KEYPOINTS)], skeleton=[])
    (folder / 'annotations.json').write_text(
        json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return folder


def ade(folder: Path, sizes=SIZES, unreadable=()) -> Path:
    """Write images and PNGs of their labels, 0 for unlabeled pixels and 1 to 150 for the classes."""
    for index, size in enumerate(sizes):
        for part in ('training', 'validation'):
            _picture(folder / 'images' / part / f'{index}.jpg', size, index)
            labels = np.random.RandomState(index).randint(0, 151, size, dtype=np.uint8)
            path = folder / 'annotations' / part / f'{index}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), labels)
            if index in unreadable:
                (folder / 'images' / part / f'{index}.jpg').write_bytes(b'no image')
    return folder


def point_at(cfg: Config, folder: Path) -> Config:
    """Let a config read a folder that ``coco`` or ``ade`` wrote, two images at a time in this process."""
    for phase in ('train', 'val', 'test'):
        loader = cfg[f'{phase}_dataloader']
        loader.num_workers = 0
        loader.persistent_workers = False
        loader.batch_size = min(loader.batch_size, 2)
        loader.dataset.data_root = str(folder)
        if cfg.default_scope != 'mmseg':
            loader.dataset.ann_file = 'annotations.json'
            loader.dataset.data_prefix = dict(img='images/')
            loader.dataset.pop('bbox_file', None)
    if cfg.default_scope != 'mmseg':
        for phase in ('val', 'test'):
            cfg[f'{phase}_evaluator'].ann_file = str(folder / 'annotations.json')
    return cfg
