"""Models registered under the scope ``mmuniformer``."""
from .backbones import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D

__all__ = ['UniFormer', 'UniFormer3D', 'UniFormerLight', 'UniFormerLight3D']
