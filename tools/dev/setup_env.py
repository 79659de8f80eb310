#!/usr/bin/env python3
"""Make the environment of a checkout, ``.venv``, from the exact locks in ``requirements/``; needs only Python 3.

Each step leaves a stamp of what it was made from, so a second run ends at once, a changed lock is followed, and an
interrupted run goes on where it was. MMCV and xtcocotools have to be built from source; their wheels are kept in
``${XDG_CACHE_HOME:-~/.cache}/mmuniformer`` for the next checkout.

Environment variables:
    MMUNIFORMER_PYTHON: the Python (3.10 to 3.12) to make the environment with, if not the first one found.
    MAX_JOBS: how many compilers run at once; default one a core, but no more than one for 2 GiB of memory.
"""
from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from machine import MAX_PYTHON, MIN_PYTHON, check_compiler, check_disk, find_nvcc, find_python, probe
from places import CACHE, LOCK, LOCK_MM, LOGS, PYTHON, ROOT, STAMPS, VENV, environment
from progress import Failed, clock, run
from wheels import built_wheel

BUILT = ('xtcocotools', 'mmcv')  # from source, in this order
CHECK = """
import cv2, decord, mmcv.ops, torch, torchvision, xtcocotools.mask
import mmaction, mmdet, mmpose, mmpretrain, mmseg
import mmuniformer
print(f'mmuniformer {mmuniformer.__version__}, torch {torch.__version__}, mmcv {mmcv.__version__}')
"""


# ---- stamps ---------------------------------------------------------------------------------------------------------


def wanted() -> dict[str, str]:
    """Step -> what it would be made from now."""
    project = [ROOT / 'setup.py', ROOT / 'pyproject.toml', *sorted((ROOT / 'requirements').glob('*.txt'))]
    shipped = [name for name in ('configs', 'demo', 'tools', 'model-index.yml') if (ROOT / name).exists()]
    device = 'gpu' if find_nvcc() and glob.glob('/dev/nvidia[0-9]*') else 'cpu'
    return {
        'environment': str(ROOT),  # an environment can't be moved
        'libraries': digest([LOCK]),
        'openmmlab': f'{digest([LOCK, LOCK_MM])} {device}',  # MMCV is built against torch
        'project': f'{digest(project)} {" ".join(shipped)}',
    }


def digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes() + b'\0')
    return total.hexdigest()[:16]


def stamps() -> dict[str, str]:
    try:
        return json.loads(STAMPS.read_text())
    except (OSError, ValueError):
        return {}


def stamp(step: str, value: str) -> None:
    STAMPS.parent.mkdir(parents=True, exist_ok=True)
    temporary = STAMPS.with_suffix('.tmp')
    temporary.write_text(json.dumps({**stamps(), step: value}, indent=1))
    temporary.replace(STAMPS)


# ---- steps ----------------------------------------------------------------------------------------------------------


def make_environment() -> None:
    """Keep a ``.venv`` that works; make it otherwise."""
    found = probe(str(PYTHON)) if PYTHON.exists() and stamps().get('environment') in (None, str(ROOT)) else None
    works = found and MIN_PYTHON <= found[0] <= MAX_PYTHON and subprocess.run(
        [str(PYTHON), '-m', 'pip', '--version'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    if not works:
        python = find_python()
        check_compiler()
        check_disk()
        if VENV.exists():
            shutil.rmtree(VENV)
        run(f'virtual environment of {python}', [python, '-m', 'venv', str(VENV)], CACHE / 'venv.log', environment())
    pip('pip', [pins(LOCK)['pip']], 1, 'pip')


def install_libraries() -> None:
    pip('libraries', ['-r', str(LOCK)], len(pins(LOCK)), 'libraries')


def install_openmmlab() -> None:
    lock = pins(LOCK_MM)
    plain = [line for name, line in lock.items() if name not in BUILT]
    pip('OpenMMLab libraries', plain, len(plain), 'openmmlab')
    for name in BUILT:
        wheel = built_wheel(name, lock[name].split('==')[1])
        # by force, since the same version may be there with other operators
        pip(f'{name} from its wheel', ['--force-reinstall', str(wheel)], 1, f'{name}-install')


def install_project() -> None:
    pip('mmuniformer', ['--no-build-isolation', '-e', str(ROOT)], 1, 'project')


def check() -> None:
    log = LOGS / 'check.log'
    run('check that everything imports', [str(PYTHON), '-c', CHECK], log, environment())
    print(f'  {log.read_text().strip().splitlines()[-1]}', flush=True)


STEPS = {'environment': make_environment, 'libraries': install_libraries, 'openmmlab': install_openmmlab,
         'project': install_project}


# ---- pip ------------------------------------------------------------------------------------------------------------


def pins(path: Path) -> dict[str, str]:
    """Name -> line of a lock, as pip takes it, of those that this platform may need."""
    lines = (line.strip() for line in path.read_text().splitlines())
    return {line.split('==')[0]: line for line in lines if line and not line.startswith('#')}


def pip(title: str, arguments: list[str], total: int, log: str) -> None:
    command = [str(PYTHON), '-m', 'pip', 'install', '--no-deps', '--progress-bar', 'off', *arguments]
    run(title, command, LOGS / f'{log}.log', environment(), PipStatus(total))


class PipStatus:
    """Tells how far pip is: the package it is at, its number, and how much was downloaded."""

    UNITS = {'kB': 1e3, 'MB': 1e6, 'GB': 1e9}

    def __init__(self, total: int):
        self.total, self.count, self.bytes, self.at = total, 0, 0., ''

    def __call__(self, line: str) -> str:
        package = re.match(r'(?:Collecting|Requirement already satisfied:|Processing) (\S+)', line)
        if package:
            self.count += 1
            self.at = package[1]
        elif line.startswith('Installing collected'):
            self.at = 'writing files'
        size = re.match(r'\s*Downloading .*\(([\d.]+) ([kMG]B)\)', line)
        if size:
            self.bytes += float(size[1]) * self.UNITS[size[2]]
        loaded = f', {self.bytes / 1e9:.2f} GB downloaded' if self.bytes > 1e7 else ''
        return f'[{min(self.count, self.total)}/{self.total}{loaded}] {self.at}'


# ---- all of it ------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def alone():
    """One set-up at a time: they share the cache, and two in one checkout would share ``.venv``."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / 'setup.lock').open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print('Another set-up of mmuniformer is running; waiting for it.', flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def interrupt(*_) -> None:
    raise KeyboardInterrupt


def main() -> int:
    if PYTHON.exists() and stamps() == wanted():
        return 0
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)  # so that pip and the compilers are ended, too
    start = time.monotonic()
    try:
        with alone():
            print(f'Setting up {VENV}', flush=True)
            for step, make in STEPS.items():
                if not PYTHON.exists() or stamps().get(step) != wanted()[step]:
                    make()
                    stamp(step, wanted()[step])
            check()
    except Failed as error:
        print(f'\n{error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('\nInterrupted. The next run goes on from here.', file=sys.stderr)
        return 130
    print(f'The environment is ready after {clock(time.monotonic() - start)} minutes.', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
