"""Datasets and transforms registered under the scope ``mmuniformer``."""
from . import generated, transforms, wrappers

__all__ = ['generated', 'transforms', 'wrappers']
