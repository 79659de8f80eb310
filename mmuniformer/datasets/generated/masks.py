"""Pictures of several shapes, every pixel of which has a class, in ADE20K's format."""
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from mmuniformer.progress import progress

from .scene import draw_scene
from .shapes import NAMES
from .splits import check_counts, samples
from .store import close_store, open_store

SHOWN = ('triangle', 'square', 'star', 'arrow', 'ellipse', 'heart')
#: Classes of the pixels. In the files they are counted from 1, as in ADE20K's, where 0 is what has no class.
CLASSES = ('ground', *SHOWN)
# Shapes brighter than the ground, of which at most a little is hidden, keep the demo short.
COUNT = (2, 4)  # shapes in an image, at least and at most
RADIUS = (0.16, 0.25)  # of a shape, as a fraction of the image's side
SPACING = 0.7  # of shapes, see draw_scene


def draw_masked(rng: np.random.Generator, size: int = 96) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image.

    Args:
        rng (np.random.Generator): Source of all that is random.
        size (int): Side of the square image in pixels. Defaults to 96.

    Returns:
        tuple[np.ndarray, np.ndarray]: The image, ``(size, size, 3)``, uint8, BGR, and for each pixel the index of its
        class in :data:`CLASSES`, ``(size, size)``, uint8: that of what covers the largest part of it.
    """
    labels = rng.integers(len(SHOWN), size=rng.integers(COUNT[0], COUNT[1] + 1))
    scene = draw_scene(
        rng, [NAMES.index(SHOWN[label]) for label in labels], (size, size), RADIUS, spacing=SPACING, brighter=True)
    mask = np.zeros((size, size), np.uint8)
    for instance in scene.instances:
        mask[instance.mask] = CLASSES.index(NAMES[instance.label])
    return scene.image, mask


def generate_masks(root: str | os.PathLike, train: int = 2400, val: int = 200, seed: int = 0, size: int = 96) -> Path:
    """Write the data set with ADE20K's folders: ``images/{training,validation}/*.png`` and, under the same names,
    ``annotations/{training,validation}/*.png``, in which the first of :data:`CLASSES` is 1.

    An image depends on the seed, its split and its number alone, so a larger data set begins with the smaller one, and
    an interrupted one is completed. A finished one is not made again; one of other arguments is replaced.

    Args:
        root (str | PathLike): The folder; made if absent.
        train (int): Images for training. Defaults to 2400.
        val (int): Held-out images. Defaults to 200.
        seed (int): Defaults to 0.
        size (int): Side of the square images in pixels. Defaults to 96.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: A split has no image.
        FileExistsError: ``root`` holds files that no generator wrote.
    """
    root = Path(root)
    check_counts(train=train, val=val)
    recipe = dict(generator='masks', version=2, train=train, val=val, seed=seed, size=size)
    if open_store(root, recipe):
        return root

    for split, name, i in progress(samples(train, val, ('training', 'validation')), f'drawing scenes in {root}'):
        image, mask = (root / kind / name / f'{i:05d}.png' for kind in ('images', 'annotations'))
        if not mask.exists():
            _write((image, mask), draw_masked(np.random.default_rng([seed, split, i]), size))
    close_store(root, recipe)
    return root


def _write(paths: Sequence[Path], drawn: tuple[np.ndarray, np.ndarray]) -> None:
    """Write the image, then the mask, which appears under its name only when both are whole."""
    image, mask = paths
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(image), drawn[0])
    part = mask.with_suffix('.part.png')
    cv2.imwrite(str(part), drawn[1] + 1)
    part.replace(mask)
