"""A contact sheet: many small pictures with captions on one page."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

RIGHT, WRONG = '#1a7f37', '#c62828'


@dataclass(frozen=True)
class Cell:
    """One picture of a sheet.

    Attributes:
        image (np.ndarray): ``(H, W, 3)``, uint8, RGB; all of a sheet have the same shape.
        caption (str): Line above the picture.
        right (bool): Whether the prediction is right; decides the colour of caption and frame.
    """
    image: np.ndarray
    caption: str
    right: bool


def draw_sheet(cells: Sequence[Cell], path: Path, title: str, columns: int = 2, dpi: int = 100) -> None:
    """Draw ``cells`` row by row and write a PNG in which a pixel of a cell is about a pixel of the page.

    Args:
        cells (Sequence[Cell]): At least one.
        path (Path): Where the PNG goes.
        title (str): Line on top of the page.
        columns (int): Cells beside each other. Defaults to 2.
        dpi (int): Pixels an inch, which scales the text. Defaults to 100.
    """
    height, width = cells[0].image.shape[:2]
    rows = -(-len(cells) // columns)
    gap, line = 14, 22  # pixels between the cells, and of a caption
    page = np.array([columns * (width + gap) + gap, rows * (height + line + gap) + 2 * gap + line])
    figure = Figure(figsize=page / dpi, dpi=dpi, facecolor='white')
    figure.text(gap / page[0], 1 - gap / page[1], title, va='top', size=11, weight='bold')
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        left = gap + column * (width + gap)
        bottom = page[1] - 2 * gap - line - (row + 1) * (height + line) - row * gap
        axes = figure.add_axes((left / page[0], bottom / page[1], width / page[0], height / page[1]))
        axes.imshow(cell.image)
        axes.set(xticks=[], yticks=[])
        colour = RIGHT if cell.right else WRONG
        axes.set_title(cell.caption, loc='left', size=9, pad=4, color=colour)
        for spine in axes.spines.values():
            spine.set(color=colour, linewidth=1 if cell.right else 2.5)
    FigureCanvasAgg(figure).print_png(str(path))


def strip(frames: np.ndarray, line: int = 2) -> np.ndarray:
    """Frames ``(T, H, W, 3)`` side by side, a white line between them."""
    padded = np.pad(frames, ((0, 0), (0, 0), (0, line), (0, 0)), constant_values=255)
    return np.concatenate(list(padded), axis=1)[:, :-line]
