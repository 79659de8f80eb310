"""Run a long command quietly: one live line on a terminal, a line now and then elsewhere, everything in a log file."""
from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

LIVE = sys.stdout.isatty()
SECONDS_BETWEEN_LINES = 30  # where there is no terminal
LINES_SHOWN = 20


class Failed(Exception):
    """A step that failed; the text says what and where its log is."""


def clock(seconds: float) -> str:
    """75.2 -> '1:15'."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def run(title: str, command: Sequence[str], log: Path, env: Mapping[str, str],
        status: Callable[[str], str | None] = lambda line: None) -> None:
    """Run ``command`` to its end.

    Args:
        title: What is done, shown with the time it took.
        command: The program and its arguments.
        log: File that gets all output; its folder is made.
        env: The whole environment.
        status: Called with each line of output; what it returns, if anything, is shown as the state of things.

    Raises:
        Failed: if the command fails, with the end of its output.
        KeyboardInterrupt: if it is interrupted, after the command and its children have been ended.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    start = shown_at = time.monotonic()
    text = ''
    process = None
    with log.open('w', encoding='utf-8', errors='replace') as file:

        def read():
            nonlocal text
            for line in process.stdout:
                file.write(line)
                text = status(line) or text

        reader = threading.Thread(target=read, daemon=True)
        try:
            with _interrupts_wait() as mask:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
                                           text=True, errors='replace', start_new_session=True,
                                           preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask))
            reader.start()
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
                    break
                now = time.monotonic()
                if LIVE:
                    print(f'\r\033[K  {title} {clock(now - start)} {text}'[:_columns() + 4], end='', flush=True)
                elif now - shown_at >= SECONDS_BETWEEN_LINES:
                    shown_at = now
                    print(f'  {title} {clock(now - start)} {text}', flush=True)
        except KeyboardInterrupt:
            if process:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
            raise
        reader.join(5)
    print('\r\033[K' if LIVE else '', end='')
    if process.returncode:
        raise Failed(f'{title} failed after {clock(time.monotonic() - start)}.\n{_end(log)}\nAll of its output: {log}')
    print(f'  {title}: {time.monotonic() - start:.0f} s', flush=True)


@contextlib.contextmanager
def _interrupts_wait() -> Iterator[set[signal.Signals]]:
    """Signals come after the block: one within ``Popen`` would leave the command running, known to nobody."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        yield mask
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _columns() -> int:
    try:
        return os.get_terminal_size().columns
    except OSError:
        return 80


def _end(log: Path) -> str:
    """The compiler's errors, which may stand far above the end, and the last lines."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()
    errors = [line for line in lines[:-LINES_SHOWN] if ' error: ' in line.lower()][:5]
    return '\n'.join(f'    {line[:300]}' for line in (*errors, *lines[-LINES_SHOWN:]))
