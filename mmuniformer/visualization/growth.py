"""How time and memory grow with the size of the input."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

from .panels import two_panels, write_png

COLOURS = ('#c2571a', '#1f5fa8', '#1a7f37', '#7a3b9e')
_LABEL_GAP = 13  # pixels between two labels, at least


@dataclass(frozen=True)
class GrowthPoint:
    """One measurement.

    Attributes:
        series (str): Curve that it is on.
        size (int): Size of the input, such as its frames.
        seconds (float | None): Time, None where it failed.
        bytes (float | None): Peak memory, None where it failed.
        gflop (float | None): Work, None where it failed.
        failed (str): Why there are no figures, in a few words; empty where there are.
    """
    series: str
    size: int
    seconds: float | None = None
    bytes: float | None = None
    gflop: float | None = None
    failed: str = ''


def draw_growth(points: Sequence[GrowthPoint], path: Path, size: str, title: str, exponent: int) -> None:
    """Write a PNG with the time on the left and the peak memory on the right, all axes logarithmic.

    A dotted line shows what would grow as the number of pixels does. Points that failed are crosses at the top.

    Args:
        points (Sequence[GrowthPoint]): At least one.
        path (Path): Where the PNG goes.
        size (str): Name of the horizontal axes.
        title (str): Line on top.
        exponent (int): The number of pixels grows with this power of the size.
    """
    figure, left, right = two_panels(title)
    left.set(ylabel='seconds')
    right.set(ylabel='peak memory (MiB)')
    sizes = sorted({point.size for point in points})
    for axes, value in ((left, lambda point: point.seconds), (right, lambda point: point.bytes / 2**20)):
        axes.set(xscale='log', yscale='log', xlabel=size, xlim=(sizes[0] / 1.15, sizes[-1] * 1.7))
        axes.set_xticks(sizes, [str(each) for each in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter('{x:g}')
        axes.yaxis.set_minor_formatter(NullFormatter())
        labels, start, height = [], None, 0.97
        for name, colour in zip(dict.fromkeys(point.series for point in points), COLOURS):
            series = [point for point in points if point.series == name]
            done = [point for point in series if not point.failed]
            if done:
                values = [value(point) for point in done]
                axes.plot([point.size for point in done], values, 'o-', ms=4, color=colour)
                labels.append((done[-1].size, values[-1], name, colour))
                start = min(start or (done[0].size, values[0]), (done[0].size, values[0]))
            for point in series:
                if point.failed:
                    axes.plot(point.size, height, 'x', color=colour, transform=axes.get_xaxis_transform())
                    axes.annotate(shorten(f'{name}: {point.failed}', 50), (point.size, height), (-5, 0), size=8,
                                  color=colour, xycoords=axes.get_xaxis_transform(), textcoords='offset points',
                                  ha='right', va='center')
                    height -= 0.05
        axes.margins(y=0.05 + 0.97 - height)
        if start and len(sizes) > 1:
            line = [start[1] * (each / start[0])**exponent for each in sizes]
            axes.plot(sizes, line, ':', lw=1.2, color='#777777')
            labels.append((sizes[-1], line[-1], 'as the pixels', '#777777'))
        figure.draw_without_rendering()  # which settles where the values are on the page
        _write_labels(axes, labels)
    write_png(figure, path)


def _write_labels(axes: Axes, labels: list[tuple[float, float, str, str]]) -> None:
    """Put the curves' names right of their last points, moved up where they would lie on one another."""
    above = float('-inf')
    for x, y, text, colour in sorted(labels, key=lambda label: label[1]):
        pixel = axes.transData.transform((x, y))[1]
        above = max(pixel, above + _LABEL_GAP)
        axes.annotate(text, (x, y), (7, (above - pixel) * 72 / axes.figure.dpi), size=9, color=colour,
                      textcoords='offset points', va='center', annotation_clip=False)
