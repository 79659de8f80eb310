"""Datasets and transforms registered under the scope ``mmuniformer``."""
from . import generated, transforms

__all__ = ['generated', 'transforms']
