"""Pictures of several shapes that hide parts of each other, in COCO's format for instances.

Place, size, angle, colours, patterns and who hides whom are drawn without a look at the class, so only the outline
tells the classes apart.
"""
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from .coco import write_coco
from .scene import Instance, Scene, draw_scene
from .shapes import NAMES

#: Classes, of those in :data:`~mmuniformer.datasets.generated.shapes.NAMES`; COCO's category ids count from 1.
CLASSES = ('triangle', 'square', 'star', 'arrow', 'ellipse', 'heart')
COUNT = (2, 5)  # least and largest number of shapes in an image


def draw_instances(rng: np.random.Generator, size: tuple[int, int] = (128, 128)) -> Scene:
    """Draw one image of two to five shapes.

    Args:
        rng (np.random.Generator): Source of all that is random.
        size (tuple[int, int]): Height and width in pixels. Defaults to 128 x 128.

    Returns:
        Scene: The image, and its shapes, whose labels are of all shapes that there are.
    """
    names = rng.choice(CLASSES, rng.integers(COUNT[0], COUNT[1], endpoint=True))
    # Shapes brighter than the ground keep the demo short.
    return draw_scene(rng, [NAMES.index(name) for name in names], size, brighter=True)


def generate_instances(root: str | os.PathLike, train: int = 800, val: int = 200, seed: int = 0,
                       size: tuple[int, int] = (128, 128)) -> Path:
    """Write the data set with COCO's names: ``train2017/*.png``, ``val2017/*.png`` and
    ``annotations/instances_{train,val}2017.json``, as MMDetection's ``CocoDataset`` reads them with ``metainfo`` of
    :data:`CLASSES`.

    An image depends on the seed, its split and its number alone, so a larger data set begins with the smaller one, and
    an interrupted one is completed. A finished one is not made again; one of other arguments is replaced.

    Args:
        root (str | PathLike): The folder; made if absent.
        train (int): Images for training. Defaults to 800.
        val (int): Held-out images. Defaults to 200.
        seed (int): Defaults to 0.
        size (tuple[int, int]): Height and width of the images in pixels. Defaults to 128 x 128.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: A split has no image.
        FileExistsError: ``root`` holds files that no generator wrote.
    """
    root = Path(root)
    recipe = dict(generator='instances', version=2, train=train, val=val, seed=seed, size=list(size))
    categories = [dict(id=index, name=name, supercategory='shape') for index, name in enumerate(CLASSES, 1)]

    def draw(rng: np.random.Generator, _: int) -> tuple[np.ndarray, Sequence[Instance]]:
        scene = draw_instances(rng, size)
        return scene.image, scene.instances

    write_coco(root, recipe, 'instances', categories, draw, _annotation)
    return root


def _annotation(instance: Instance, index: int, image: int) -> dict:
    """What is seen of a shape as an entry of COCO's files, rounded to hundredths of a pixel as theirs are."""
    corners = np.concatenate(instance.polygons)
    low, high = corners.min(0), corners.max(0)
    return dict(
        id=index,
        image_id=image,
        category_id=CLASSES.index(NAMES[instance.label]) + 1,
        iscrowd=0,
        bbox=np.round([*low, *(high - low)], 2).tolist(),
        area=round(sum(cv2.contourArea(polygon.astype(np.float32)) for polygon in instance.polygons), 2),
        segmentation=[np.round(polygon, 2).ravel().tolist() for polygon in instance.polygons])
