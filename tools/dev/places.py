"""Where the set-up puts things, and the environment variables its commands run with."""
from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / '.venv'
PYTHON = VENV / 'bin' / 'python'
LOGS = VENV / 'setup'
STAMPS = LOGS / 'stamps.json'
CACHE = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'mmuniformer'
LOCK = ROOT / 'requirements' / 'lock.txt'
LOCK_MM = ROOT / 'requirements' / 'lock-mm.txt'


def environment() -> dict[str, str]:
    """This process's environment, less what would lead pip or Python out of the virtual one."""
    env = {**os.environ, 'PIP_DISABLE_PIP_VERSION_CHECK': '1', 'PIP_NO_INPUT': '1', 'PIP_USER': '0',
           'PYTHONUNBUFFERED': '1'}
    for name in ('PYTHONPATH', 'PYTHONHOME', 'PIP_TARGET', 'PIP_PREFIX', 'PIP_REQUIREMENT', 'PIP_CONSTRAINT'):
        env.pop(name, None)
    return env
