"""Pictures of jointed figures, in COCO's format for the keypoints of persons.

A figure faces the viewer or turns its back. Both its sides look the same, so what is left and what is right follows
from its face alone: seen in a mirror it is a figure of the same kind whose sides have changed places, as that of a
person is, and training may flip images.
"""
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .coco import write_coco
from .drawing import SHAPES, paint

#: COCO's keypoints of a person, in its order.
KEYPOINTS = ('nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder', 'right_shoulder', 'left_elbow',
             'right_elbow', 'left_wrist', 'right_wrist', 'left_hip', 'right_hip', 'left_knee', 'right_knee',
             'left_ankle', 'right_ankle')
#: Visibility of a keypoint in COCO's files: outside of the image; hidden by something; seen.
OUTSIDE, HIDDEN, SEEN = 0, 1, 2
# Pairs of keypoints that COCO joins by lines, counted from 1
_LINKS = ((16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9), (8, 10), (9, 11),
          (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7))

FINE = 4  # figures are laid out on a grid of this many cells a pixel, so that edges are smooth and outlines exact
# Lengths as shares of the figure's height, each varied by up to VARIED
_LENGTHS = dict(head=0.11, neck=0.15, trunk=0.29, shoulder=0.125, hip=0.075, upper_arm=0.17, forearm=0.15, thigh=0.21,
                shin=0.2)
_VARIED = 0.12
_HEIGHT = (0.62, 0.92)  # of a figure, as a share of the image's height
_LEAN = 0.7  # radians by which a figure leans to a side, at most
_FROM_BEHIND = 0.25  # share of figures that turn their backs
_CUT = 0.25  # share of figures of which a border of the image may cut something off
_COVERED = 0.4  # share of images with a shape in front of the figures
# Figures are drawn anew unless of each so many keypoints are in the image, so many are seen, one of them at the head,
# which tells the sides, and so much is uncovered.
_MIN_INSIDE, _MIN_SEEN, _MIN_UNCOVERED = 10, 7, 0.6
_TRIES = 200


@dataclass(frozen=True)
class Figure:
    """What is true about one figure of an image.

    Attributes:
        keypoints (np.ndarray): ``(17, 3)``, float: x, y and visibility (0 outside of the image, then x and y are 0; 1
            hidden, 2 seen) of :data:`KEYPOINTS`. The middle of the image's first pixel is (0, 0).
        polygons (tuple[np.ndarray]): Outlines ``(N, 2)``, float, of what is seen of it; here, and in what follows, the
            first pixel reaches from 0 to 1. Holes, as an arm makes that is put on the hip, are not cut out.
        bbox (tuple[float]): x, y, width and height of what is seen of it.
        area (float): How many pixels are seen of it.
    """
    keypoints: np.ndarray
    polygons: tuple[np.ndarray, ...]
    bbox: tuple[float, float, float, float]
    area: float


@dataclass(frozen=True)
class _Part:
    """Something drawn in one colour: a line, a polygon or a point, and all that is up to ``radius`` away from it."""
    points: np.ndarray
    radius: float
    colour: np.ndarray
    shows: tuple[str, ...] = ()  # keypoints that are seen where this is seen


def draw_figures(rng: np.random.Generator, count: int, size: Sequence[int] = (128, 160)
                 ) -> tuple[np.ndarray, tuple[Figure, ...]]:
    """Draw one image of figures of random poses, sizes, proportions and colours on a patterned ground.

    Args:
        rng (np.random.Generator): Source of all that is random.
        count (int): How many figures, up to 3.
        size (Sequence[int]): Height and width in pixels. Defaults to 128 x 160.

    Returns:
        tuple[np.ndarray, tuple[Figure]]: The image, ``(H, W, 3)``, uint8, BGR, and the figures from the back to the
        front.

    Raises:
        ValueError: The image has no room for so many figures.
    """
    height, width = size
    for _ in range(_TRIES):
        canvas = np.zeros((height * FINE, width * FINE), np.uint8)  # which part is seen: 0 for the ground, from 1
        ground = rng.uniform(0, 255, (2, 3))
        ground[1] = ground[0] + 0.3 * (ground[1] - ground[0])
        parts, spans, bodies, uncovered = [], [], [], []
        for _ in range(count):
            joints, body = _figure(rng, ground.mean(0), size)
            first = len(parts) + 1
            for part in body:
                parts.append(part)
                _lay(canvas, part, len(parts))
            bodies.append(joints)
            spans.append((first, len(parts)))
            uncovered.append(_between(canvas, *spans[-1]).sum())
        if rng.random() < _COVERED:
            joints = bodies[rng.integers(count)]
            shape = SHAPES[rng.integers(len(SHAPES))] * rng.uniform(0.07, 0.15) * height
            middle = joints[KEYPOINTS[rng.integers(len(KEYPOINTS))]] + rng.normal(0, 0.04 * height, 2)
            parts.append(_Part(shape + middle, 1, _colour(rng, [ground.mean(0)])))
            _lay(canvas, parts[-1], len(parts))
        figures = [_describe(canvas, parts, span, joints) for span, joints in zip(spans, bodies)]
        if all(figure and figure.area * FINE**2 >= _MIN_UNCOVERED * cells for figure, cells in zip(figures, uncovered)):
            break
    else:
        raise ValueError(f'found no room for {count} figures in an image of {height} x {width}')

    palette = np.stack([np.zeros(3), *(part.colour for part in parts)]).astype(np.uint8)
    image = cv2.resize(palette[canvas], (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    bare = cv2.resize(np.float32(canvas == 0), (width, height), interpolation=cv2.INTER_AREA)
    image += paint(rng, max(size), ground.astype(np.float32))[:height, :width] * bare[..., None]
    return np.clip(np.round(image), 0, 255).astype(np.uint8), tuple(figures)


def _figure(rng: np.random.Generator, ground: np.ndarray, size: Sequence[int]
            ) -> tuple[dict[str, np.ndarray], list[_Part]]:
    """Joints by name and parts from the back to the front of a new figure, placed in an image of ``size``."""
    front = rng.random() >= _FROM_BEHIND
    joints, radius = _pose(rng, front)
    scale = rng.uniform(*_HEIGHT) * size[0]
    around = np.stack([*joints.values(), joints['head'] - radius, joints['head'] + radius]) * scale
    low, extent = around.min(0) - 0.04 * scale, np.ptp(around, axis=0) + 0.08 * scale
    room = np.array(size[::-1]) - extent
    corner = rng.uniform(np.minimum(room, 0), np.maximum(room, 0))
    if rng.random() < _CUT:
        axis = rng.integers(2)
        beyond = rng.uniform(0.05, 0.3) * extent[axis]
        corner[axis] = -beyond if rng.random() < 0.5 else room[axis] + beyond
    joints = {name: point * scale + corner - low for name, point in joints.items()}
    return joints, _parts(rng, joints, radius * scale, scale, front, ground)


def _pose(rng: np.random.Generator, front: bool) -> tuple[dict[str, np.ndarray], float]:
    """Joints in shares of the figure's height, y down, and the head's radius."""
    length = {name: value * rng.uniform(1 - _VARIED, 1 + _VARIED) for name, value in _LENGTHS.items()}
    tilt = rng.uniform(-0.35, 0.35)
    up, across = np.array([np.sin(tilt), -np.cos(tilt)]), np.array([np.cos(tilt), np.sin(tilt)])
    radius = length['head']
    head = length['neck'] * up
    look = rng.uniform(-0.25, 0.25) * radius * across  # the face is turned a little
    joints = dict(head=head, neck=np.zeros(2), nose=head + look * 1.3 - 0.25 * radius * up)
    for name, side in (('left', 1), ('right', -1)):
        side = side if front else -side  # who faces us has the left on our right
        joints[f'{name}_eye'] = head + look + radius * (0.42 * side * across + 0.2 * up)
        joints[f'{name}_ear'] = head + radius * side * across
        joints[f'{name}_shoulder'] = np.array([side * length['shoulder'], 0.02])
        joints[f'{name}_hip'] = np.array([side * length['hip'], length['trunk']])
        for begin, middle, end, bones, first, bend in (
                ('shoulder', 'elbow', 'wrist', ('upper_arm', 'forearm'), (-0.4, 2.7), (-1.6, 1.6)),
                ('hip', 'knee', 'ankle', ('thigh', 'shin'), (-0.2, 1.0), (-1.1, 0.5))):
            angle, point = 0., joints[f'{name}_{begin}']
            for joint, bone, span in ((middle, bones[0], first), (end, bones[1], bend)):
                angle += rng.uniform(*span)  # from straight down, outwards
                shortened = rng.uniform(0.8, 1)  # as seen of a limb that points towards us or away
                point = point + length[bone] * shortened * np.array([side * np.sin(angle), np.cos(angle)])
                joints[f'{name}_{joint}'] = point
    lean = rng.uniform(-_LEAN, _LEAN)
    turn = np.array([[np.cos(lean), np.sin(lean)], [-np.sin(lean), np.cos(lean)]])
    return {name: point @ turn for name, point in joints.items()}, radius


def _parts(rng: np.random.Generator, joints: dict[str, np.ndarray], radius: float, scale: float, front: bool,
           ground: np.ndarray) -> list[_Part]:
    """Parts from the back to the front; both sides of a figure have the same colours."""
    skin = _colour(rng, [ground], 40, _skin)
    shirt = _colour(rng, [ground, skin])
    trousers = _colour(rng, [ground, shirt])
    hair, shoe = _colour(rng, [ground, skin]), _colour(rng, [ground, trousers])

    def limb(begin: str, end: str, thick: float, colour: np.ndarray) -> _Part:
        return _Part(np.stack([joints[begin], joints[end]]), thick * scale, colour, (begin, end))

    def spot(name: str, thick: float, colour: np.ndarray) -> _Part:
        return _Part(joints[name][None], thick, colour, (name, ))

    behind, before = [], []
    for side in rng.permutation(['left', 'right']):
        behind += [limb(f'{side}_hip', f'{side}_knee', 0.042, trousers),
                   limb(f'{side}_knee', f'{side}_ankle', 0.036, trousers), spot(f'{side}_ankle', 0.04 * scale, shoe)]
    for side in rng.permutation(['left', 'right']):
        arm = before if rng.random() < 0.7 else behind
        arm += [limb(f'{side}_shoulder', f'{side}_elbow', 0.033, shirt),
                limb(f'{side}_elbow', f'{side}_wrist', 0.026, skin), spot(f'{side}_wrist', 0.034 * scale, skin)]
    corners = ('left_shoulder', 'right_shoulder', 'right_hip', 'left_hip')
    trunk = _Part(np.stack([joints[name] for name in corners]), 0.035 * scale, shirt, corners)
    throat = _Part(np.stack([joints['neck'], joints['head']]), 0.035 * scale, skin)

    across = (joints['left_ear'] - joints['right_ear']) / 2
    up = (joints['head'] - joints['neck']) / np.linalg.norm(joints['head'] - joints['neck']) * radius
    ears = [spot(name, 0.25 * radius, skin) for name in ('left_ear', 'right_ear')]
    if front:
        angle = np.linspace(0.3, np.pi - 0.3, 9)[:, None]
        face = ('nose', 'left_eye', 'right_eye')
        head = [_Part(joints['head'][None], radius, skin, face),
                _Part(joints['head'] + 0.9 * (np.cos(angle) * across + np.sin(angle) * up), 0.15 * radius, hair), *ears]
        for name in face[1:]:
            head += [spot(name, 0.24 * radius, np.full(3, 255.)), spot(name, 0.13 * radius, np.full(3, 20.))]
        head.append(spot('nose', 0.17 * radius, skin * 0.55))
    else:
        head = [*ears, _Part(joints['head'][None], 0.98 * radius, hair, ('left_ear', 'right_ear'))]
    return [*behind, trunk, throat, *head, *before]


def _skin(rng: np.random.Generator) -> np.ndarray:
    return np.array([60, 80, 130.]) + rng.random() * np.array([130, 135, 120.])


def _colour(rng: np.random.Generator, others: Sequence[np.ndarray], apart: float = 60,
            draw: Callable = lambda rng: rng.uniform(0, 255, 3)) -> np.ndarray:
    """A colour (BGR) that differs from others by so many grey levels in one channel at least."""
    while True:
        colour = draw(rng)
        if all(np.abs(colour - other).max() > apart for other in others):
            return colour


def _lay(canvas: np.ndarray, part: _Part, index: int) -> None:
    """Draw a part on the fine grid."""
    cells = np.round((part.points * FINE - 0.5) * 16).astype(np.int32)  # whole numbers are the cells' middles
    radius = part.radius * FINE
    if len(cells) == 1:
        cv2.circle(canvas, cells[0].tolist(), round(radius * 16), index, cv2.FILLED, shift=4)
        return
    if len(cells) > 2:
        cv2.fillPoly(canvas, [cells], index, shift=4)
    cv2.polylines(canvas, [cells], len(cells) > 2, index, max(round(2 * radius), 1), shift=4)


def _between(canvas: np.ndarray, first: int, last: int) -> np.ndarray:
    return (canvas >= first) & (canvas <= last)


def _describe(canvas: np.ndarray, parts: Sequence[_Part], span: tuple[int, int], joints: dict[str, np.ndarray]
              ) -> Figure | None:
    """What is true about the figure of a span of parts; None if too little of it is in the image or seen."""
    keypoints = np.zeros((len(KEYPOINTS), 3))
    for row, name in zip(keypoints, KEYPOINTS):
        x, y = np.floor(joints[name] * FINE).astype(int)
        if 0 <= x < canvas.shape[1] and 0 <= y < canvas.shape[0]:
            part = int(canvas[y, x])
            shown = span[0] <= part <= span[1] and name in parts[part - 1].shows
            row[:] = *(joints[name] - 0.5), SEEN if shown else HIDDEN
    inside, shown = keypoints[:, 2] != OUTSIDE, keypoints[:, 2] == SEEN
    if inside.sum() < _MIN_INSIDE or shown.sum() < _MIN_SEEN or not shown[:5].any():
        return None
    seen = _between(canvas, *span)
    contours, _ = cv2.findContours(seen.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    # Cells in the middle of an edge add nothing. What is left after that of a splinter is no polygon.
    contours = [cv2.approxPolyDP(contour, 1, True)[:, 0] for contour in contours]
    polygons = tuple((contour + 0.5) / FINE for contour in contours if cv2.contourArea(contour) > FINE**2)
    if not polygons:
        return None
    corners, half = np.concatenate(polygons), 0.5 / FINE  # outlines go through the middles of the outermost cells
    low, high = corners.min(0) - half, corners.max(0) + half
    return Figure(keypoints, polygons, (*low, *(high - low)), seen.sum() / FINE**2)


def generate_keypoints(root: str | os.PathLike, train: int = 1600, val: int = 200, seed: int = 0,
                       size: Sequence[int] = (128, 160)) -> Path:
    """Write the data set with COCO's names: ``train2017/*.png``, ``val2017/*.png`` and
    ``annotations/person_keypoints_{train,val}2017.json``, as MMPose's ``CocoDataset`` reads them. Every second image
    holds two figures, the others one.

    An image depends on the seed, its split and its number alone, so a larger data set begins with the smaller one, and
    an interrupted one is completed. A finished one is not made again; one of other arguments is replaced.

    Args:
        root (str | PathLike): The folder; made if absent.
        train (int): Images for training. Defaults to 1600.
        val (int): Held-out images. Defaults to 200.
        seed (int): Defaults to 0.
        size (Sequence[int]): Height and width of the images in pixels. Defaults to 128 x 160.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: A split has no image.
        FileExistsError: ``root`` holds files that no generator wrote.
    """
    root = Path(root)
    recipe = dict(generator='keypoints', version=1, train=train, val=val, seed=seed, size=list(size))
    category = dict(id=1, name='person', supercategory='person', keypoints=list(KEYPOINTS),
                    skeleton=[list(link) for link in _LINKS])
    write_coco(root, recipe, 'person_keypoints', [category], lambda rng, i: draw_figures(rng, 1 + i % 2, size),
               _annotation)
    return root


def _annotation(figure: Figure, index: int, image: int) -> dict:
    """A figure as an entry of COCO's files, rounded to hundredths of a pixel as theirs are."""
    return dict(
        id=index,
        image_id=image,
        category_id=1,
        iscrowd=0,
        bbox=[round(float(value), 2) for value in figure.bbox],
        area=round(float(figure.area), 2),
        segmentation=[np.round(polygon, 2).ravel().tolist() for polygon in figure.polygons],
        num_keypoints=int((figure.keypoints[:, 2] != OUTSIDE).sum()),
        keypoints=[value for x, y, flag in figure.keypoints for value in (round(x, 2), round(y, 2), int(flag))])
