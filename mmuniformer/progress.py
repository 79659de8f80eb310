"""A progress bar of the standard library alone."""
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar('T')


class Bar:
    """Draws on stderr how far something is: a live bar on a terminal, ten lines in a log.

    Args:
        total (int): Steps in all.
        title (str): What is being done, shown before the bar.
        width (int): Characters of the bar. Defaults to 30.
        done (int): Steps that were done before. Defaults to 0.
    """

    def __init__(self, total: int, title: str, width: int = 30, done: int = 0):
        self.total, self.title, self.width, self.before = total, title, width, done
        self.live = sys.stderr.isatty()
        self.start, self.shown, self.open = time.monotonic(), -1, False

    def show(self, done: int, note: str = '') -> None:
        """Draw the bar if it has moved far enough, with a note after it."""
        step = done * (100 if self.live else 10) // self.total
        if step == self.shown:
            return
        self.shown = step
        spent = time.monotonic() - self.start
        left = spent / max(done - self.before, 1) * (self.total - done)
        bar = '#' * (done * self.width // self.total)
        line = f'{self.title} [{bar:<{self.width}}] {done}/{self.total}, {spent:.0f} s, {left:.0f} s left'
        line += f', {note}' if note else ''
        sys.stderr.write(f'\r{line}\033[K' if self.live else f'{line}\n')
        sys.stderr.flush()
        self.open = self.live
        if done >= self.total:
            self.end_line()

    def end_line(self) -> None:
        """Leave a live bar's line, so that other text can follow."""
        if self.open:
            sys.stderr.write('\n')
            sys.stderr.flush()
            self.open = False


def progress(items: Sequence[T], title: str, width: int = 30) -> Iterator[T]:
    """Yield ``items`` and draw a :class:`Bar`.

    Args:
        items (Sequence): What to go through; its length must be known.
        title (str): What is being done, shown before the bar.
        width (int): Characters of the bar. Defaults to 30.
    """
    bar = Bar(len(items), title, width)
    for done, item in enumerate(items, 1):
        yield item
        bar.show(done)
