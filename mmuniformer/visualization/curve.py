"""The learning curve, from the scalars that the Runner writes."""
import json
from collections.abc import Mapping
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from .panels import two_panels, write_png

Points = dict[float, float]


def read_scalars(work_dir: Path, loss: str, metric: str) -> tuple[Points, Points]:
    """Read the loss of training and the metric of validation over epochs.

    A run that was resumed has written several files; where they overlap the last one counts.

    Args:
        work_dir (Path): The Runner's work dir.
        loss (str): Key of the training loss.
        metric (str): Key of the validation's metric.

    Returns:
        tuple[dict, dict]: Loss and metric, each as ``{epoch: value}``.
    """
    losses, metrics = {}, {}
    steps_per_epoch = 1.
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if loss in record and 'epoch' in record:
                losses[record['step']] = record[loss]
                steps_per_epoch = max(steps_per_epoch, record['step'] / record['epoch'])
            elif metric in record:
                metrics[record['step']] = record[metric]
    return {step / steps_per_epoch: losses[step] for step in sorted(losses)}, dict(sorted(metrics.items()))


def draw_curve(work_dir: Path, path: Path, loss: str, metric: str, lines: Mapping[str, float], title: str) -> None:
    """Write a PNG with the loss on the left and the metric on the right.

    Args:
        work_dir (Path): The Runner's work dir.
        path (Path): Where the PNG goes.
        loss (str): Key of the training loss.
        metric (str): Key of the validation's metric.
        lines (Mapping[str, float]): Values to compare the metric with, drawn as level lines, by name.
        title (str): Line on top.
    """
    losses, metrics = read_scalars(work_dir, loss, metric)
    figure, left, right = two_panels(title)
    left.plot(list(losses), list(losses.values()), color='#1f5fa8')
    left.set(xlabel='epoch', ylabel='training loss', ylim=(0, None))
    right.plot(list(metrics), list(metrics.values()), 'o-', ms=4, color='#1f5fa8', label='held-out data')
    for (name, value), colour in zip(lines.items(), ('#1a7f37', '#777777', '#c62828')):
        right.axhline(value, ls='--', lw=1.2, color=colour, label=f'{name}: {value:.3g}')
    top = 100 if max([*metrics.values(), *lines.values()], default=0) > 1 else 1  # in per cent, or a share
    right.set(xlabel='epoch', ylabel=metric, ylim=(0, 1.02 * top))
    right.legend(loc='center right', fontsize=9)
    for axes in (left, right):
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    write_png(figure, path)
