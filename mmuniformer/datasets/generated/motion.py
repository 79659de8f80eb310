"""Videos whose eight classes differ only in how a shape moves.

A clip is a point ``(x, y, angle, log size)`` on a four-dimensional torus, drawn uniformly, and its class moves one of
the four coordinates one way at constant speed; the other three rest. Every coordinate wraps: what leaves the picture
on the right comes in on the left, and what has grown to the largest size is the smallest again. A uniform
distribution on a torus stays uniform under any shift, so *each single frame of every class has the same
distribution*: only the order of frames tells the classes apart.
"""
import os
from pathlib import Path

import cv2
import numpy as np

from mmuniformer.progress import progress

from .drawing import SHAPES, colours, paint
from .splits import check_counts, samples
from .store import close_store, open_store

# The coordinate that moves, and its sign. The picture's y axis points down; OpenCV's angles turn anticlockwise.
MOTIONS = {
    'moves left': (0, -1),
    'moves right': (0, 1),
    'moves up': (1, -1),
    'moves down': (1, 1),
    'turns clockwise': (2, -1),
    'turns anticlockwise': (2, 1),
    'grows': (3, 1),
    'shrinks': (3, -1),
}
# Cycles per second. One cycle is a frame's width or height, a full turn, or the way from the smallest to the largest
# size. The upper bound keeps a square that turns from looking as if it turned the other way at 6 frames a second.
SPEED = (0.22, 0.44)
RADIUS = (0.21, 0.46)  # smallest and largest shape, as a fraction of the frame's side
# Weak patterns, and shapes much brighter than what is behind them, keep the demo short: it is about motion.
CONTRAST = 0.1
BRIGHTER_BY = 110
PATCH = 96  # side of the square on which a shape is drawn once, before it is moved


def draw_clip(rng: np.random.Generator, motion: str, size: int = 96, frames: int = 24, fps: int = 12) -> np.ndarray:
    """Draw one clip.

    Args:
        rng (np.random.Generator): Source of all that is random.
        motion (str): A key of :data:`MOTIONS`.
        size (int): Side of the square frames in pixels. Defaults to 96.
        frames (int): Length of the clip. Defaults to 24.
        fps (int): Frames per second, which turns speeds into steps. Defaults to 12.

    Returns:
        np.ndarray: ``(frames, size, size, 3)``, uint8, BGR.
    """
    if motion not in MOTIONS:
        raise ValueError(f'no motion {motion!r}: choose one of {", ".join(MOTIONS)}')
    axis, sign = MOTIONS[motion]
    ground, ink = colours(rng, CONTRAST, BRIGHTER_BY, brighter=True)
    background = paint(rng, size, ground)
    shape = SHAPES[rng.integers(len(SHAPES))]
    mask = np.zeros((PATCH, PATCH), np.uint8)
    corners = np.round((shape * 0.47 + 0.5) * PATCH * 16).astype(np.int32)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, shift=4)
    alpha = mask.astype(np.float32) / 255
    patch = np.dstack([paint(rng, PATCH, ink) * alpha[..., None], alpha])  # premultiplied: no fringe when resampled

    state = rng.random(4)
    speed = rng.uniform(*SPEED)
    clip = np.empty((frames, size, size, 3), np.uint8)
    for t in range(frames):
        now = state.copy()
        now[axis] = (now[axis] + sign * speed * t / fps) % 1
        clip[t] = _place(background, patch, now)
    return clip


def _place(background: np.ndarray, patch: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Lay the shape on the background at a state ``(x, y, angle, log size)`` of [0, 1)^4, wrapped at the borders."""
    size = background.shape[0]
    x, y = state[:2] * size
    radius = RADIUS[0] * (RADIUS[1] / RADIUS[0])**state[3] * size
    frame = background.copy()
    for left in (-size, 0, size):
        for top in (-size, 0, size):
            cx, cy = x + left, y + top
            x0, y0 = (max(int(np.floor(c - radius)) - 1, 0) for c in (cx, cy))
            x1, y1 = (min(int(np.ceil(c + radius)) + 2, size) for c in (cx, cy))
            if x0 >= x1 or y0 >= y1:
                continue
            turn = cv2.getRotationMatrix2D((PATCH / 2, PATCH / 2), 360 * state[2], 2 * radius / PATCH)
            turn[:, 2] += cx - x0 - PATCH / 2, cy - y0 - PATCH / 2
            layer = cv2.warpAffine(patch, turn, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
            part = frame[y0:y1, x0:x1]
            part *= 1 - layer[..., 3:]
            part += layer[..., :3]
    return np.clip(np.round(frame), 0, 255).astype(np.uint8)


def generate_motion(root: str | os.PathLike, train: int = 1600, val: int = 240, seed: int = 0, size: int = 96,
                    frames: int = 24, fps: int = 12) -> Path:
    """Write the data set: ``train/*.mp4``, ``val/*.mp4``, and for each an annotation file of MMAction2's
    ``VideoDataset`` (``train.txt``, ``val.txt``: path relative to ``root``, label) and ``labels.txt``.

    A clip depends on the seed, its split and its number alone, so a larger data set begins with the smaller one, and
    an interrupted one is completed. A finished one is not made again; one of other arguments is replaced.

    Args:
        root (str | PathLike): The folder; made if absent.
        train (int): Clips for training, a multiple of the 8 classes. Defaults to 1600.
        val (int): Held-out clips, a multiple of the 8 classes. Defaults to 240.
        seed (int): Defaults to 0.
        size (int): Side of the square frames in pixels, even. Defaults to 96.
        frames (int): Length of a clip. Defaults to 24.
        fps (int): Frames per second. Defaults to 12.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: A number of clips is no multiple of 8, or ``size`` is odd.
        FileExistsError: ``root`` holds files that no generator wrote.
        OSError: OpenCV can't write mp4 video here.
    """
    root = Path(root)
    check_counts(len(MOTIONS), 'clips', train=train, val=val)
    if size % 2:
        raise ValueError(f'size={size}: mp4 frames need an even side')
    recipe = dict(generator='motion', version=1, train=train, val=val, seed=seed, size=size, frames=frames, fps=fps)
    if open_store(root, recipe):
        return root

    motions = list(MOTIONS)
    for split, name, i in progress(samples(train, val), f'drawing videos in {root}'):
        path = root / name / f'{i:05d}.mp4'
        if not path.exists():
            clip = draw_clip(np.random.default_rng([seed, split, i]), motions[i % len(motions)], size, frames, fps)
            write_video(path, clip, fps)
    for name, count in (('train', train), ('val', val)):
        lines = (f'{name}/{i:05d}.mp4 {i % len(motions)}\n' for i in range(count))
        (root / f'{name}.txt').write_text(''.join(lines))
    (root / 'labels.txt').write_text('\n'.join(motions) + '\n')
    close_store(root, recipe)
    return root


def write_video(path: Path, clip: np.ndarray, fps: int) -> None:
    """Write frames ``(T, H, W, 3)``, uint8, BGR, as MPEG-4 video; the file appears under its name only when whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix('.part.mp4')
    writer = cv2.VideoWriter(str(part), cv2.VideoWriter_fourcc(*'mp4v'), fps, clip.shape[2:0:-1])
    if not writer.isOpened():
        raise OSError(f'OpenCV {cv2.__version__} could not open {part} for MPEG-4 video: is it built with FFmpeg?')
    for frame in clip:
        writer.write(frame)
    writer.release()
    part.replace(path)
