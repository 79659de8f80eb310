"""Pictures of several shapes that hide parts of each other, with what is true about each."""
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .drawing import SHAPES, colours, paint

FINE = 4  # a scene is laid out on a grid of this many cells a pixel, so that edges are smooth and outlines exact
MIN_VISIBLE = 0.5  # share of each shape that nothing in front of it hides
# Tries at placing one shape, then at placing all of them anew
_TRIES = 100


@dataclass(frozen=True)
class Instance:
    """One shape of a scene. Coordinates are ``(x, y)`` in pixels; pixel 0 reaches from 0 to 1.

    Attributes:
        label (int): Index of the shape in :data:`~mmuniformer.datasets.generated.drawing.SHAPES`.
        outline (np.ndarray): ``(V, 2)``, float: the corners, hidden ones too, in the order of ``SHAPES[label]``.
        polygons (tuple[np.ndarray]): Outlines ``(N, 2)``, float, of the visible parts; none has a hole.
        mask (np.ndarray): ``(H, W)``, bool: the pixels of which it covers the largest part.
    """
    label: int
    outline: np.ndarray
    polygons: tuple[np.ndarray, ...]
    mask: np.ndarray


@dataclass(frozen=True)
class Scene:
    """A picture and its shapes.

    Attributes:
        image (np.ndarray): ``(H, W, 3)``, uint8, BGR.
        instances (tuple[Instance]): From the back to the front.
    """
    image: np.ndarray
    instances: tuple[Instance, ...]


def draw_scene(rng: np.random.Generator, labels: Sequence[int], size: tuple[int, int] = (128, 128),
               radius: tuple[float, float] = (0.13, 0.24), contrast: float = 0.2, apart: float = 70,
               spacing: float = 0.55, brighter: bool = False) -> Scene:
    """Draw shapes of random place, size, angle, colours and pattern on a patterned ground.

    Which places are tried depends on the sizes alone, not on the shapes, so places don't tell the classes.

    Args:
        rng (np.random.Generator): Source of all that is random.
        labels (Sequence[int]): A shape for each, from the back to the front; up to 8.
        size (tuple[int, int]): Height and width in pixels. Defaults to 128 x 128.
        radius (tuple[float, float]): Least and largest radius of the circle around a shape, as a share of the shorter
            side; all sizes between are as frequent. Defaults to 0.13 and 0.24.
        contrast (float): See :func:`~mmuniformer.datasets.generated.drawing.colours`. Defaults to 0.2.
        apart (float): See there; of each shape and the ground, and of any two shapes. Defaults to 70.
        spacing (float): Least distance of the centres of two shapes, in sums of their radii: at 1 none can touch.
            Defaults to 0.55.
        brighter (bool): Whether shapes are always brighter than the ground, see
            :func:`~mmuniformer.datasets.generated.drawing.colours`. Defaults to False.

    Returns:
        Scene: The picture and what is true about each shape.

    Raises:
        ValueError: The shapes find no place.
    """
    height, width = size
    inks = colours(rng, contrast, apart, brighter, len(labels))
    radii = rng.uniform(*radius, len(labels)) * min(size)
    angles = rng.uniform(0, 2 * np.pi, len(labels))
    for _ in range(_TRIES):
        centres = _centres(rng, radii, size, spacing)
        if centres is None:
            continue
        outlines = [_turned(SHAPES[label], angle) * r + centre
                    for label, angle, r, centre in zip(labels, angles, radii, centres)]
        owner = _lay(outlines, size)
        parts = [_visible(owner == index, outline) for index, outline in enumerate(outlines, 1)]
        if all(parts):
            break
    else:
        raise ValueError(f'found no place for {len(labels)} shapes of radius {radius} in an image of {height} x '
                         f'{width}: draw fewer, smaller ones, or nearer to each other (spacing)')

    covers = np.stack([cv2.resize(np.float32(owner == index), (width, height), interpolation=cv2.INTER_AREA)
                       for index in range(len(labels) + 1)])
    image = sum(paint(rng, max(size), ink)[:height, :width] * cover[..., None] for ink, cover in zip(inks, covers))
    most = covers.argmax(0)
    return Scene(
        np.clip(np.round(image), 0, 255).astype(np.uint8),
        tuple(Instance(int(label), outline, polygons, most == index)
              for index, (label, outline, polygons) in enumerate(zip(labels, outlines, parts), 1)))


def _centres(rng: np.random.Generator, radii: np.ndarray, size: tuple[int, int], spacing: float) -> np.ndarray | None:
    """Places ``(x, y)`` at which every circle is inside of the image; None when it took too many tries."""
    centres = np.empty((len(radii), 2))
    for i, radius in enumerate(radii):
        for _ in range(_TRIES):
            centres[i] = rng.uniform(radius, np.array(size[::-1]) - radius)
            if (np.linalg.norm(centres[:i] - centres[i], axis=1) >= spacing * (radii[:i] + radius)).all():
                break
        else:
            return None
    return centres


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    return points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])


def _lay(outlines: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Which shape is seen in each cell of the fine grid: 0 for the ground, from 1 for the shapes."""
    owner = np.zeros((size[0] * FINE, size[1] * FINE), np.uint8)
    for index, outline in enumerate(outlines, 1):
        cells = outline * FINE - 0.5  # of OpenCV's coordinates whole numbers are the cells' middles
        cv2.fillPoly(owner, [np.round(cells * 16).astype(np.int32)], index, shift=4)
    return owner


def _visible(cells: np.ndarray, outline: np.ndarray) -> tuple[np.ndarray, ...]:
    """Outlines of what is seen of a shape; none if that is too little, or has a hole, which COCO's polygons can't."""
    if cells.mean() * cells.size < MIN_VISIBLE * cv2.contourArea(outline.astype(np.float32)) * FINE**2:
        return ()
    contours, hierarchy = cv2.findContours(cells.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if (hierarchy[0, :, 3] >= 0).any():
        return ()
    # Cells in the middle of an edge add nothing. What is left after that of a splinter is no polygon.
    contours = [cv2.approxPolyDP(contour, 1, True)[:, 0] for contour in contours]
    return tuple((contour + 0.5) / FINE for contour in contours if cv2.contourArea(contour) > FINE**2)
