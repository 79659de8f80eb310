"""Maps over frames, and sheets or films of them."""
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mmuniformer.apis import PredictError

from .sheet import strip

SUFFIXES = ('.png', '.gif')
MARGIN = 84  # pixels for the name of a row


def colored(frames: np.ndarray, values: Tensor, strength: float = 0.5) -> np.ndarray:
    """Frames with a map over them.

    Args:
        frames: ``(T, H, W, 3)``, RGB, uint8.
        values: ``(h, w)`` or ``(t, h, w)``, drawn from blue for 0 to red for its largest value.
        strength: Share of the map's colour, 0 to 1. Defaults to 0.5.

    Returns:
        As ``frames``.
    """
    values = values.detach().cpu()
    maps = _enlarged((values if values.ndim == 3 else values[None])[..., None], frames)[..., 0]
    scaled = np.uint8(np.clip(maps / max(float(values.max()), 1e-12), 0, 1) * 255)
    colors = np.stack([cv2.applyColorMap(each, cv2.COLORMAP_JET)[..., ::-1] for each in scaled])
    return np.uint8(np.clip(frames * (1 - strength) + colors * strength, 0, 255).round())


def painted(frames: np.ndarray, colors: Tensor) -> np.ndarray:
    """A map of colours, ``(h, w, 3)`` or ``(t, h, w, 3)`` of 0 to 1, at the times and in the size of ``frames``."""
    colors = colors.detach().cpu()
    return np.uint8((_enlarged(colors if colors.ndim == 4 else colors[None], frames) * 255).round())


def marked(frames: np.ndarray, query: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """Frames with a white square around the token ``query`` of a map of ``shape``, in the frames it comes from."""
    frames = frames.copy()
    (*time, y, x), (*times, height, width) = query, shape
    top, bottom = y * frames.shape[1] // height, (y + 1) * frames.shape[1] // height - 1
    left, right = x * frames.shape[2] // width, (x + 1) * frames.shape[2] // width - 1
    for number, frame in enumerate(frames):
        if not time or number * times[0] // len(frames) == time[0]:
            frames[number] = cv2.rectangle(frame.copy(), (left, top), (right, bottom), (255, 255, 255), 2)
    return frames


def save(rows: Mapping[str, np.ndarray], path: Path, fps: float = 4) -> None:
    """Write rows of frames under each other, each with its name on the left.

    Args:
        rows: Frames ``(T, H, W, 3)``, all of one shape, by name.
        path: ``*.png`` for a column for each frame, ``*.gif`` for a film.
        fps: Frames a second of the film. Defaults to 4.

    Raises:
        PredictError: For another suffix.
    """
    check_suffix(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.png':
        Image.fromarray(_page({name: strip(frames) for name, frames in rows.items()})).save(path)
        return
    count = len(next(iter(rows.values())))
    film = [Image.fromarray(_page({name: frames[number] for name, frames in rows.items()})) for number in range(count)]
    film[0].save(path, save_all=True, append_images=film[1:], duration=round(1000 / fps), loop=0)


def check_suffix(path: Path) -> None:
    """Raise :class:`PredictError` where a picture has another suffix than :data:`SUFFIXES`."""
    if path.suffix not in SUFFIXES:
        raise PredictError(f'the picture to write must end in {" or ".join(SUFFIXES)}, got {path}')


def _enlarged(maps: Tensor, frames: np.ndarray) -> np.ndarray:
    """Maps ``(t, h, w, C)`` at the frames' times and size."""
    at = torch.arange(len(frames)) * len(maps) // len(frames)
    maps = F.interpolate(maps.movedim(-1, 1).float(), frames.shape[1:3], mode='bilinear', align_corners=False)
    return maps.movedim(1, -1)[at].numpy()


def _page(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """One picture of several ``(H, W, 3)``, a white line between two."""
    lines = []
    for name, row in rows.items():
        line = np.pad(row, ((0, 2), (MARGIN, 0), (0, 0)), constant_values=255)
        cv2.putText(line, name, (4, row.shape[0] // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
        lines.append(line)
    return np.concatenate(lines)[:-2]
