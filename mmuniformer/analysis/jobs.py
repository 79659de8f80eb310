"""Measurements that each run in a process of their own: kept, limited in time, never fatal for the others."""
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten

#: What errors for want of memory say: PyTorch's on CUDA and on the CPU, Python's, C++'s.
_NO_MEMORY = ('out of memory', "can't allocate memory", 'cannot allocate memory', 'MemoryError', 'bad_alloc')


@dataclass(frozen=True)
class Outcome:
    """What became of a measurement.

    Attributes:
        result: What it wrote; empty where it failed.
        failed: Why there is no result, in one line; empty where there is one.
        is_new: Whether it ran just now, and was not found.
    """
    result: dict
    failed: str
    is_new: bool


def run_once(script: Path, arguments: Sequence[str], path: Path, limit: float | None = None,
             overwrite: bool = False) -> Outcome:
    """Run a script that writes a JSON file, unless this file is there from a run with the same arguments.

    Too little memory and too little time are results, too: they are noted in the file and found again (the time only
    by runs with no higher limit). After any other error there is no file.

    Args:
        script: A Python script with an option ``--json PATH``, whose file holds its command line as ``command``.
        arguments: What it is called with, but for ``--json``.
        path: The file.
        limit: Seconds after which it is ended, with all that it started. Defaults to none.
        overwrite: Whether to run it although the file is there. Defaults to False.

    Returns:
        What was found or measured, or why there is nothing.
    """
    found = None if overwrite else find(arguments, path, limit)
    if found is not None:
        return found
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    status, message = _run([sys.executable, str(script), *arguments, '--json', str(path)], limit)
    if status == 0:
        return Outcome(json.loads(path.read_text()), '', is_new=True)
    failed = _reason(message, script.name) or f'ended with status {status}'
    if status is None:
        failed = f'more than {limit:g} s'
    elif status == -signal.SIGKILL or any(phrase in message for phrase in _NO_MEMORY):
        failed = 'out of memory'
    else:
        path.unlink(missing_ok=True)
        return Outcome({}, failed, is_new=True)
    path.write_text(json.dumps(dict(command=' '.join(arguments), failed=failed, limit=limit)) + '\n')
    return Outcome({}, failed, is_new=True)


def find(arguments: Sequence[str], path: Path, limit: float | None = None) -> Outcome | None:
    """What :func:`run_once` would find without running anything; None where there is nothing that counts."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # not there, or half written
        return None
    failed = found.get('failed', '')
    if found['command'].split(' --json ')[0] != ' '.join(arguments):
        return None
    if failed.startswith('more than') and (limit is None or limit > found['limit']):
        return None
    return Outcome({} if failed else found, failed, is_new=False)


def _reason(message: str, name: str) -> str:
    """What a script says of why it ends, in one line; of a traceback the last one."""
    _, found, reason = message.partition(f'{name}: ')
    return shorten(reason if found else message.rpartition('\n')[2], 250)


def _run(command: list[str], limit: float | None) -> tuple[int | None, str]:
    """Exit status (None: out of time) and what was written to stderr."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    # Where memory runs out, let the system end the measurement and not whatever else is large on this machine.
    with suppress(OSError):
        Path(f'/proc/{process.pid}/oom_score_adj').write_text('1000')
    try:
        message = process.communicate(timeout=limit)[1]
        return process.returncode, message.strip()
    except subprocess.TimeoutExpired:
        return None, ''
    finally:
        if process.poll() is None:  # out of time, or interrupted
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
