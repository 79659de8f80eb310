"""Maps over frames, and sheets or films of them."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


def _enlarged(maps: Tensor, frames: np.ndarray) -> np.ndarray:
    """Maps ``(t, h, w, C)`` at the frames' times and size."""
    at = torch.arange(len(frames)) * len(maps) // len(frames)
    maps = F.interpolate(maps.movedim(-1, 1).float(), frames.shape[1:3], mode='bilinear', align_corners=False)
    return maps.movedim(1, -1)[at].numpy()


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
    for number in range(len(frames)):
        if not time or number * times[0] // len(frames) == time[0]:
            frames[number] = cv2.rectangle(frames[number].copy(), (left, top), (right, bottom), (255, 255, 255), 2)
    return frames


def sheet(rows: Sequence[np.ndarray], gap: int = 2) -> np.ndarray:
    """One picture ``(H', W', 3)``: a row for each of several ``(T, H, W, 3)``, a column for each frame."""
    padded = [np.pad(row, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255) for row in rows]
    return np.concatenate([np.concatenate(list(row), 1) for row in padded])[:-gap, :-gap]


def save(rows: Sequence[np.ndarray], path: Path, fps: float = 4) -> None:
    """Write rows of frames: ``*.png`` as a sheet, ``*.gif`` as a film with the rows one above the other.

    Raises:
        ValueError: For another suffix.
    """
    if path.suffix not in ('.png', '.gif'):
        raise ValueError(f'the picture must be *.png or *.gif, got {path}')
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == '.png':
        Image.fromarray(sheet(rows)).save(path)
        return
    film = [Image.fromarray(sheet([frame[None] for frame in frames]).copy()) for frames in zip(*rows)]
    film[0].save(path, save_all=True, append_images=film[1:], duration=round(1000 / fps), loop=0)
