"""The report in Markdown, and what its pictures have in common."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

#: Classes up to which the confusion matrix holds names and numbers.
READABLE = 25


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows, the head first, as a table."""
    escaped = [[str(cell).replace('|', '\\|') for cell in row] for row in rows]
    lines = [f'| {" | ".join(row)} |' for row in escaped]
    return '\n'.join([lines[0], '|' + '---|' * len(rows[0]), *lines[1:]])


def draw_confusion(matrix: np.ndarray, names: Sequence[str], path: Path) -> None:
    """Write a PNG of a confusion matrix.

    Args:
        matrix: ``(C, C)``: how many of the true class (row) were taken for a class (column).
        names: Of the classes.
        path: Where the PNG goes.
    """
    readable = len(names) <= READABLE
    side = min(max(4., 0.45 * len(names) + 2), 14)
    figure = Figure(figsize=(side + 1, side), dpi=110, layout='constrained')
    axes = figure.subplots()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    figure.colorbar(image, label='share of the true class', shrink=0.8)
    axes.set(xlabel='predicted', ylabel='true')
    if readable:
        axes.set_xticks(range(len(names)), names, rotation=60, ha='right', size=8)
        axes.set_yticks(range(len(names)), names, size=8)
        for row, column in zip(*np.nonzero(matrix)):
            axes.text(column, row, int(matrix[row, column]), ha='center', va='center', size=8,
                      color='white' if shares[row, column] > 0.5 else 'black')
    FigureCanvasAgg(figure).print_png(str(path))


def fit_into(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image ``(H, W, 3)``, uint8, scaled into a box of ``height`` and ``width``, grey around it."""
    scale = min(height / image.shape[0], width / image.shape[1])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    page = np.full((height, width, 3), 235, np.uint8)
    top, left = (height - size[1]) // 2, (width - size[0]) // 2
    page[top:top + size[1], left:left + size[0]] = small
    return page
