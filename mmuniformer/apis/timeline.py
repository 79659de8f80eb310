"""A long video in windows, and what was seen in them over time: CSV and PNG."""
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROWS = 8  # classes that the picture shows


def windows(total: int, length: int, stride: int) -> list[tuple[int, int]]:
    """First frame and end (exclusive) of each window: every ``stride`` frames one, the last ends with the video.

    Args:
        total: Frames of the video.
        length: Frames of a window; one of ``total`` frames is all there is of a shorter video.
        stride: Frames from one window to the next.
    """
    if total <= length:
        return [(0, total)]
    starts = list(range(0, total - length + 1, stride))
    if starts[-1] + length < total:
        starts.append(total - length)
    return [(start, start + length) for start in starts]


def own_parts(records: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """The time that each window stands for: up to the middle between its middle and its neighbours'.

    Args:
        records: Windows in their order, with ``start`` and ``end`` in seconds.
    """
    middles = [(record['start'] + record['end']) / 2 for record in records]
    borders = [records[0]['start'], *((a + b) / 2 for a, b in zip(middles, middles[1:])), records[-1]['end']]
    return list(zip(borders, borders[1:]))


def write_csv(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a line for each window: ``start, end`` in seconds, then ``label_1, score_1, label_2, ...``."""
    count = max(len(record['labels']) for record in records)
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['start', 'end', *(f'{what}_{i + 1}' for i in range(count) for what in ('label', 'score'))])
        for record in records:
            pairs = [value for label in record['labels'] for value in (label['name'], label['score'])]
            writer.writerow([record['start'], record['end'], *pairs])


def draw_timeline(records: Sequence[Mapping[str, Any]], path: Path, title: str) -> None:
    """Write a PNG: a row for each class that leads longest, darker where its score is higher, framed where it leads.

    Args:
        records: Windows in their order: ``start``, ``end`` in seconds, ``labels`` with the highest score first.
        path: Where the PNG goes.
        title: Line on top.
    """
    parts = own_parts(records)
    time: dict[str, float] = {}
    for record, (start, end) in zip(records, parts):
        leader = record['labels'][0]['name']
        time[leader] = time.get(leader, 0) + end - start
    rows = sorted(time, key=time.get, reverse=True)[:ROWS]
    figure = Figure(figsize=(11, 1.3 + 0.42 * len(rows)), dpi=100, layout='constrained')
    axes = figure.subplots()
    for row, name in enumerate(rows):
        scores = [{label['name']: label['score'] for label in record['labels']}.get(name, 0) for record in records]
        spans = [(start, end - start) for start, end in parts]
        axes.broken_barh(spans, (row - 0.4, 0.8), facecolors=[(0.12, 0.37, 0.66, min(max(s, 0), 1)) for s in scores])
        leads = [record['labels'][0]['name'] == name for record in records]
        axes.broken_barh(_merge(parts, leads), (row - 0.4, 0.8), facecolors='none', edgecolors='#0b2b52', linewidth=1)
    axes.set_yticks(range(len(rows)), [name if len(name) <= 40 else f'{name[:39]}…' for name in rows])
    axes.set(xlim=(parts[0][0], parts[-1][1]), ylim=(len(rows) - 0.5, -0.5), xlabel='seconds')
    axes.set_title(title, loc='left', size=10, weight='bold')
    axes.spines[['top', 'right']].set_visible(False)
    FigureCanvasAgg(figure).print_png(str(path))


def _merge(parts: Sequence[tuple[float, float]], chosen: Sequence[bool]) -> list[tuple[float, float]]:
    """Start and length of each run of chosen parts."""
    runs = []
    for (start, end), yes, before in zip(parts, chosen, [False, *chosen]):
        if yes and before:
            runs[-1] = (runs[-1][0], end - runs[-1][0])
        elif yes:
            runs.append((start, end - start))
    return runs
