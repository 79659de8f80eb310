"""The page that curves are drawn on: two panels beside each other."""
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def two_panels(title: str) -> tuple[Figure, Axes, Axes]:
    """An empty page with a title, and its left and its right panel."""
    figure = Figure(figsize=(10, 4), dpi=120, layout='constrained')
    FigureCanvasAgg(figure)
    figure.suptitle(title, size=11)
    left, right = figure.subplots(1, 2)
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    return figure, left, right


def write_png(figure: Figure, path: Path) -> None:
    """Write a page as a PNG."""
    figure.canvas.print_png(str(path))
