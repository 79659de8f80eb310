"""A line or more of text above a picture, in the writing systems that Matplotlib's font has."""
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

MIN_WIDTH = 320  # smaller pictures are enlarged to it, or no label would fit


def label_lines(labels: Sequence[Mapping[str, Any]], count: int = 3) -> list[str]:
    """The first labels of a record, a line each."""
    return [f'{label["score"]:.2f}  {label["name"]}' for label in labels[:count]]


def add_caption(image: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Put text on a strip above a picture, both ``(H, W, 3)``, uint8, BGR.

    The result has even sides, which video encoders want.
    """
    scale = max(1., MIN_WIDTH / image.shape[1])
    if scale > 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    height, width = (side + side % 2 for side in image.shape[:2])
    image = cv2.copyMakeBorder(image, 0, height - image.shape[0], 0, width - image.shape[1], cv2.BORDER_REPLICATE)
    return np.concatenate([_strip(tuple(lines), width), image])


@lru_cache(maxsize=16)
def _strip(lines: tuple[str, ...], width: int) -> np.ndarray:
    size = max(14, round(width / 32))
    step = round(size * 1.4)
    font = ImageFont.truetype(f'{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf', size)
    height = step * len(lines) + step // 2
    strip = Image.new('RGB', (width, height + height % 2), (24, 24, 24))
    pen = ImageDraw.Draw(strip)
    for number, line in enumerate(lines):
        colour = (255, 255, 255) if number == 0 else (170, 170, 170)
        pen.text((step // 2, step // 4 + number * step), line, fill=colour, font=font)
    return np.asarray(strip)[..., ::-1]
