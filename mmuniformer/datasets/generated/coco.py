"""Drawn images and what is on them as a data set in COCO's format."""
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mmuniformer.progress import progress

from .splits import check_counts, samples
from .store import close_store, open_store

FOLDERS = ('train2017', 'val2017')


def write_coco(root: Path, recipe: dict, kind: str, categories: Sequence[dict],
               draw: Callable[[np.random.Generator, int], tuple[np.ndarray, Sequence]],
               annotate: Callable[[Any, int, int], dict]) -> None:
    """Write ``{train,val}2017/*.png`` and ``annotations/KIND_{train,val}2017.json``; nothing if they are there.

    Args:
        root (Path): The folder; made if absent.
        recipe (dict): All that decides the files' contents; holds the numbers of images ``train`` and ``val``, the
            ``seed`` and the images' ``size`` (height, width).
        kind (str): First part of the annotation files' names, such as ``'instances'``.
        categories (Sequence[dict]): COCO's entries of the categories.
        draw (Callable): Makes of a generator and the image's number (from 0) the image, ``(H, W, 3)``, uint8, BGR, and
            the objects on it.
        annotate (Callable): Makes of an object, the annotation's id and the image's (both from 1) COCO's entry.

    Raises:
        ValueError: A split has no image.
        FileExistsError: ``root`` holds files that no generator wrote.
    """
    train, val, seed, (height, width) = (recipe[key] for key in ('train', 'val', 'seed', 'size'))
    check_counts(train=train, val=val)
    if open_store(root, recipe):
        return
    content = {folder: dict(images=[], annotations=[]) for folder in FOLDERS}
    for split, folder, i in progress(samples(train, val, FOLDERS), f'drawing images in {root}'):
        image, objects = draw(np.random.default_rng([seed, split, i]), i)
        path = root / folder / f'{i + 1:012d}.png'
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), image)
        images, annotations = content[folder]['images'], content[folder]['annotations']
        images.append(dict(id=i + 1, file_name=path.name, height=height, width=width))
        annotations += [annotate(each, len(annotations) + k, i + 1) for k, each in enumerate(objects, 1)]
    (root / 'annotations').mkdir(exist_ok=True)
    for folder, lists in content.items():
        text = json.dumps(dict(info={}, licenses=[], categories=list(categories), **lists))
        (root / 'annotations' / f'{kind}_{folder}.json').write_text(text)
    close_store(root, recipe)
