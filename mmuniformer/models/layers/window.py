"""Cutting a 2-D map into windows and putting it together again.

Sizes are computed, never inferred by a -1, so that ``torch.export`` keeps heights and widths symbolic.
"""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmuniformer.ops import is_exporting


def _grid(height: int, width: int, size: int) -> tuple[int, int]:
    """Rows and columns of windows that cover a map."""
    return (height + size - 1) // size, (width + size - 1) // size


def window_partition(x: Tensor, size: int) -> Tensor:
    """Group the tokens of a map by window; zeros fill the map up to whole windows at its bottom and right.

    Args:
        x: Map of shape ``(B, H, W, C)``.
        size: Side of a window in tokens.

    Returns:
        Windows of shape ``(B * rows * columns, size * size, C)``.
    """
    B, H, W, C = x.shape
    rows, columns = _grid(H, W, size)
    x = F.pad(x, (0, 0, 0, columns * size - W, 0, rows * size - H))
    x = x.view(B, rows, size, columns, size, C).transpose(2, 3)
    return x.reshape(B * rows * columns, size * size, C)


def window_unpartition(windows: Tensor, size: int, shape: Sequence[int]) -> Tensor:
    """Undo :func:`window_partition`.

    Args:
        windows: Shape ``(B * rows * columns, size * size, C)``.
        size: Side of a window in tokens.
        shape: ``(B, H, W, C)`` of the map before.

    Returns:
        Map of this shape.
    """
    B, H, W, C = shape
    rows, columns = _grid(H, W, size)
    x = windows.view(B, rows, columns, size, size, C).transpose(2, 3)
    x = x.reshape(B, rows * size, columns * size, C)
    if is_exporting():
        # A crop is contiguous for some sizes only, and an exported program would be bound to what its example was.
        return x.index_select(1, torch.arange(H, device=x.device)).index_select(2, torch.arange(W, device=x.device))
    return x[:, :H, :W]
