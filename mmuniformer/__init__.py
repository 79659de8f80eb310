"""UniFormer for OpenMMLab: importing this package registers its classes under the scope ``mmuniformer``."""
from . import compat
from .version import __version__

compat.apply()

from . import models  # noqa: E402, F401  (after compat, which mends what the imports below may need)

__all__ = ['__version__']
