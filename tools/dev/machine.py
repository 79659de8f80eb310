"""What the machine has to bring: a Python, a C++ compiler, disk; and a CUDA compiler where there is a GPU."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from places import ROOT
from progress import Failed

MIN_PYTHON, MAX_PYTHON = (3, 10), (3, 12)
GIGABYTES_NEEDED = 8
_PROBE = """
import json, os, sys, sysconfig
import ensurepip, venv
print(json.dumps([sys.version_info[:2], os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h'))]))
"""


def probe(python: str) -> tuple[tuple[int, int], bool] | None:
    """Version of a Python and whether its headers are there; None if it does not run or cannot make an environment."""
    try:
        result = subprocess.run([python, '-c', _PROBE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=30)
        version, headers = json.loads(result.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return tuple(version), headers


def find_python() -> str:
    """A Python that serves, or an error that says what is wrong with each one found."""
    chosen = os.environ.get('MMUNIFORMER_PYTHON')
    names = [f'python3.{minor}' for minor in (11, 12, 10)]
    pyenv = Path(os.environ.get('PYENV_ROOT') or Path.home() / '.pyenv') / 'versions'
    candidates = [chosen] if chosen else [sys.executable, *names, *(
        str(path) for name in names for path in sorted(pyenv.glob(f'{name[6:]}.*/bin/python')))]
    faults = []
    for candidate in candidates:
        found = probe(candidate)
        if found is None:
            if candidate == chosen or shutil.which(candidate):
                faults.append(f'{candidate}: does not run, or lacks venv or ensurepip (Debian: python3-venv)')
            continue
        version, headers = found
        if not MIN_PYTHON <= version <= MAX_PYTHON:
            faults.append(f'{candidate}: is Python {version[0]}.{version[1]}')
        elif not headers:
            faults.append(f'{candidate}: lacks its C headers, which MMCV is built with (Debian: python3-dev)')
        else:
            return candidate
    raise Failed('No usable Python found. mmuniformer needs Python 3.10, 3.11 or 3.12, with venv and C headers:\n'
                 + '\n'.join(f'    {fault}' for fault in faults)
                 + '\nInstall one, or name it: MMUNIFORMER_PYTHON=/path/to/python3.11 make setup')


def check_compiler() -> None:
    """MMCV needs a C++17 compiler; say so now, not after the downloads."""
    compiler = os.environ.get('CXX') or 'c++'
    source = b'#include <optional>\nint main() { return std::optional<int>(0).value(); }\n'
    try:
        subprocess.run([*compiler.split(), '-x', 'c++', '-std=c++17', '-fsyntax-only', '-'], input=source, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        raise Failed(f'No C++17 compiler: `{compiler}` does not run or refuses -std=c++17. MMCV is built from source. '
                     'Install one (Debian: apt install g++), or name it: CXX=/path/to/g++ make setup') from None


def check_disk() -> None:
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < GIGABYTES_NEEDED:
        raise Failed(f'{free:.1f} GB are free at {ROOT}; the set-up needs {GIGABYTES_NEEDED} GB.')


def find_nvcc() -> str | None:
    home = os.environ.get('CUDA_HOME')
    return shutil.which('nvcc', path=os.path.join(home, 'bin') if home else None)
