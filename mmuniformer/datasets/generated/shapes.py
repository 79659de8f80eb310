"""Images of one shape each, whose class is the shape.

Place, size, angle, colours and patterns of shape and background are drawn at random, so only the outline tells the
classes apart.
"""
import os
from pathlib import Path

import cv2
import numpy as np

from mmuniformer.progress import progress

from .drawing import SHAPES, colours, paint
from .splits import check_counts, samples
from .store import close_store, open_store

#: Classes, in the order of :data:`~mmuniformer.datasets.generated.drawing.SHAPES`.
NAMES = ('triangle', 'square', 'star', 'four-pointed star', 'arrow', 'L', 'T', 'ellipse', 'half disc', 'heart')
RADIUS = (0.22, 0.4)  # of the shape, as a fraction of the image's side
# Weak patterns and shapes brighter than what is behind them keep the demo short.
CONTRAST = 0.2


def draw_shape(rng: np.random.Generator, label: int, size: int = 64) -> np.ndarray:
    """Draw one image.

    Args:
        rng (np.random.Generator): Source of all that is random.
        label (int): Index of the shape in :data:`NAMES`.
        size (int): Side of the square image in pixels. Defaults to 64.

    Returns:
        np.ndarray: ``(size, size, 3)``, uint8, BGR.
    """
    ground, ink = colours(rng, CONTRAST, brighter=True)
    radius = rng.uniform(*RADIUS)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (SHAPES[label] @ turn.T * radius + rng.uniform(radius, 1 - radius, 2)) * size
    mask = np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.round((corners - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    cover = mask[..., None].astype(np.float32) / 255
    image = paint(rng, size, ground) * (1 - cover) + paint(rng, size, ink) * cover
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def generate_shapes(root: str | os.PathLike, train: int = 4000, val: int = 400, seed: int = 0, size: int = 64) -> Path:
    """Write the data set: ``train/CLASS/*.png`` and ``val/CLASS/*.png``, as MMPretrain's ``CustomDataset`` reads them.

    An image depends on the seed, its split and its number alone, so a larger data set begins with the smaller one, and
    an interrupted one is completed. A finished one is not made again; one of other arguments is replaced.

    Args:
        root (str | PathLike): The folder; made if absent.
        train (int): Images for training, a multiple of the 10 classes. Defaults to 4000.
        val (int): Held-out images, a multiple of the 10 classes. Defaults to 400.
        seed (int): Defaults to 0.
        size (int): Side of the square images in pixels. Defaults to 64.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: A number of images is no multiple of 10.
        FileExistsError: ``root`` holds files that no generator wrote.
    """
    root = Path(root)
    check_counts(len(NAMES), 'images', train=train, val=val)
    recipe = dict(generator='shapes', version=1, train=train, val=val, seed=seed, size=size)
    if open_store(root, recipe):
        return root

    for split, name, i in progress(samples(train, val), f'drawing images in {root}'):
        label = i % len(NAMES)
        # Folders sort as the classes are numbered.
        folder = root / name / f'{label} {NAMES[label]}'
        folder.mkdir(parents=True, exist_ok=True)
        image = draw_shape(np.random.default_rng([seed, split, i]), label, size)
        cv2.imwrite(str(folder / f'{i:05d}.png'), image)
    close_store(root, recipe)
    return root
