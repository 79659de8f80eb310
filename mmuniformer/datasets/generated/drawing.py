"""Shapes, patterns and colours that the generated pictures are made of."""
from itertools import combinations

import cv2
import numpy as np

_TURN = np.linspace(0, 2 * np.pi, 32, endpoint=False)
_AT_ONCE = 64  # colourings tried at a time: of those with several bright shapes one of many hundreds fits


def _polar(radii: list[float]) -> np.ndarray:
    """Polygon of the given radii at equal angles, from the top."""
    angle = np.arange(len(radii)) * 2 * np.pi / len(radii)
    return np.stack([np.sin(angle), -np.cos(angle)], 1) * np.asarray(radii)[:, None]


_OUTLINES = (
    _polar([1, 1, 1]),  # triangle
    _polar([1, 1, 1, 1]),  # square
    _polar([1, 0.45] * 5),  # star
    _polar([1, 0.35] * 4),  # four-pointed star
    np.array([(0, -1), (.7, -.1), (.28, -.1), (.28, 1), (-.28, 1), (-.28, -.1), (-.7, -.1)]),  # arrow
    np.array([(-.6, -.8), (-.1, -.8), (-.1, .3), (.7, .3), (.7, .8), (-.6, .8)]),  # L
    np.array([(-.8, -.8), (.8, -.8), (.8, -.3), (.25, -.3), (.25, .9), (-.25, .9), (-.25, -.3), (-.8, -.3)]),  # T
    np.stack([np.sin(_TURN) * .55, np.cos(_TURN)], 1),  # ellipse
    np.stack([np.cos(_TURN), np.maximum(np.sin(_TURN), 0) * 1.6 - .8], 1),  # half disc
    # heart
    np.stack([np.sin(_TURN)**3, -(13 * np.cos(_TURN) - 5 * np.cos(2 * _TURN) - 2 * np.cos(3 * _TURN)) / 16], 1),
)
# Polygons inside the unit disc, y down. None looks the same after a turn of less than 72 degrees.
SHAPES = tuple(outline / np.linalg.norm(outline, axis=1).max() for outline in _OUTLINES)


def _pattern(rng: np.random.Generator, side: int) -> np.ndarray:
    """A random pattern of values 0 to 1 on a square: plain, stripes, checks, a slope or blotches."""
    kind = rng.integers(5)
    y, x = np.mgrid[:side, :side] / side
    angle, pitch, phase = rng.uniform(0, 2 * np.pi), rng.uniform(3, 7), rng.uniform(0, 2 * np.pi)
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    if kind == 0:
        return np.zeros((side, side), np.float32)
    if kind == 1:
        pattern = np.sin(2 * np.pi * pitch * u + phase) > 0
    elif kind == 2:
        pattern = np.sin(2 * np.pi * pitch * u + phase) * np.sin(2 * np.pi * pitch * v) > 0
    elif kind == 3:
        pattern = (u - u.min()) / np.ptp(u)
    else:
        blotches = rng.random((6, 6), np.float32)
        pattern = cv2.resize(blotches, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(pattern, 0, 1).astype(np.float32)


def paint(rng: np.random.Generator, side: int, colours: np.ndarray) -> np.ndarray:
    """A ``side x side x 3`` float32 picture of a random pattern in two colours."""
    weight = _pattern(rng, side)[..., None]
    return colours[0] * (1 - weight) + colours[1] * weight


def colours(rng: np.random.Generator, contrast: float = 0.45, apart: float = 70, brighter: bool = False,
            shapes: int = 1) -> np.ndarray:
    """Draw the colours of a background and of shapes on it.

    Args:
        rng (np.random.Generator): Source of all that is random.
        contrast (float): How far the two colours of a pattern are apart, as a share of two random colours' distance.
            Defaults to 0.45.
        apart (float): How many of 255 grey levels a shape differs from the background and the other shapes by at
            least, in the channel where they differ most; with ``brighter`` from the background in the mean of the
            channels. Defaults to 70.
        brighter (bool): Whether shapes are always brighter than the background. Defaults to False.
        shapes (int): How many shapes there are. Defaults to 1.

    Returns:
        np.ndarray: ``(1 + shapes, 2, 3)``, float32: two colours (BGR) of the background, two of each shape.
    """
    while True:
        start = rng.bit_generator.state
        pairs = rng.uniform(0, 255, (_AT_ONCE, 1 + shapes, 2, 3)).astype(np.float32)
        pairs[:, :, 1] = pairs[:, :, 0] + (pairs[:, :, 1] - pairs[:, :, 0]) * contrast
        means = pairs.mean(2)
        off_ground = means[:, 1:] - means[:, :1]
        fits = ((off_ground.mean(2) if brighter else np.abs(off_ground).max(2)) > apart).all(1)
        for one, other in combinations(range(1, 1 + shapes), 2):
            fits &= np.abs(means[:, one] - means[:, other]).max(1) > apart
        if fits.any():
            first = fits.argmax()
            # What is drawn next does not depend on how many were tried at once.
            rng.bit_generator.state = start
            rng.uniform(size=(first + 1, 1 + shapes, 2, 3))
            return pairs[first]
