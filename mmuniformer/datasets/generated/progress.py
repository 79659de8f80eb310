"""A progress bar of the standard library alone."""
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar('T')


def progress(items: Sequence[T], title: str, width: int = 30) -> Iterator[T]:
    """Yield ``items`` and draw on stderr how far they are: a live bar on a terminal, ten lines in a log.

    Args:
        items (Sequence): What to go through; its length must be known.
        title (str): What is being done, shown before the bar.
        width (int): Characters of the bar. Defaults to 30.
    """
    live = sys.stderr.isatty()
    total, start, shown = len(items), time.monotonic(), -1
    for done, item in enumerate(items, 1):
        yield item
        step = done * (100 if live else 10) // total
        if step == shown:
            continue
        shown = step
        spent = time.monotonic() - start
        bar = '#' * (done * width // total)
        line = f'{title} [{bar:<{width}}] {done}/{total}, {spent:.0f} s, {spent / done * (total - done):.0f} s left'
        sys.stderr.write(f'\r{line}' if live else f'{line}\n')
        sys.stderr.flush()
    if live and total:
        sys.stderr.write('\n')
