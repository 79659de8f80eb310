"""What every test may ask for."""
import os
from pathlib import Path

import pytest
import torch
from mmengine.registry import DefaultScope

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def shared() -> Path:
    """Folder of reference numbers and real media that is no part of the project; tests that need it skip without it."""
    folder = Path(os.environ.get('MMUNIFORMER_SHARED', ROOT.parent / 'shared'))
    if not folder.is_dir():
        pytest.skip(f'needs the shared folder of fixtures and media ({folder} is not there)')
    return folder


@pytest.fixture(autouse=True)
def _no_default_scope():
    """A Runner leaves its framework's scope behind, in which the next test would look up its classes."""
    DefaultScope._instance_dict.clear()
