"""The backbones that configs name."""
from .uniformer import UniFormer
from .uniformer3d import UniFormer3D

__all__ = ['UniFormer', 'UniFormer3D']
