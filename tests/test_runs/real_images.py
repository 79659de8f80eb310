"""The real images as COCO and as ADE20K in the folders where the configs look for them."""
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
from mmdet.datasets import CocoDataset
from mmseg.datasets import ADE20KDataset
from pycocotools.coco import COCO


def write_coco(source: Path, folder: Path) -> None:
    """Write ``data/coco``: all images for training as for validation, persons only, and persons that a detector found.

    Args:
        source: Folder with the images, ``instances_keypoints.json`` and ``person_detections.json``.
        folder: Where ``data/`` goes.
    """
    root = folder / 'data/coco'
    (root / 'annotations').mkdir(parents=True)
    persons = json.loads((source / 'instances_keypoints.json').read_text())
    # The only category in the file is person; MMDetection's metric takes a detector's classes from there.
    categories = [dict(id=index, name=name) for index, name in enumerate(CocoDataset.METAINFO['classes'], 1)]
    instances = {**persons, 'categories': categories}
    for split in ('train2017', 'val2017'):
        (root / split).mkdir()
        for image in persons['images']:
            shutil.copy(source / image['file_name'], root / split)
        (root / f'annotations/instances_{split}.json').write_text(json.dumps(instances))
        (root / f'annotations/person_keypoints_{split}.json').write_text(json.dumps(persons))
    (root / 'person_detection_results').mkdir()
    shutil.copy(source / 'person_detections.json',
                root / 'person_detection_results/COCO_val2017_detections_AP_H_56_person.json')


def write_ade(source: Path, folder: Path) -> None:
    """Write ``data/ade/ADEChallengeData2016`` with the persons of COCO's polygons on a ground of one other class.

    Args:
        source: As for ``write_coco``.
        folder: Where ``data/`` goes.
    """
    root = folder / 'data/ade/ADEChallengeData2016'
    person, ground = (ADE20KDataset.METAINFO['classes'].index(name) + 1 for name in ('person', 'earth'))
    coco = COCO(source / 'instances_keypoints.json')
    for split in ('training', 'validation'):
        (root / 'images' / split).mkdir(parents=True)
        (root / 'annotations' / split).mkdir(parents=True)
        for image in coco.dataset['images']:
            labels = np.full((image['height'], image['width']), ground, np.uint8)
            for annotation in coco.imgToAnns[image['id']]:
                labels[coco.annToMask(annotation) > 0] = person
            shutil.copy(source / image['file_name'], root / 'images' / split)
            assert cv2.imwrite(str(root / 'annotations' / split / f"{Path(image['file_name']).stem}.png"), labels)
