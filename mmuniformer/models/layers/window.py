"""Cutting a 2-D map into windows and putting it together again."""
from typing import Tuple

import torch.nn.functional as F
from torch import Tensor


def window_partition(x: Tensor, size: int) -> Tuple[Tensor, Tuple[int, int]]:
    """Group the tokens of a map by window; zeros fill the map up to whole windows at its right and bottom.

    Args:
        x: Map of shape ``(B, H, W, C)``.
        size: Side of a window in tokens.

    Returns:
        Windows of shape ``(B * windows, size * size, C)`` and the filled height and width.
    """
    B, H, W, C = x.shape
    x = F.pad(x, (0, 0, 0, -W % size, 0, -H % size))
    rows, columns = x.shape[1] // size, x.shape[2] // size
    x = x.view(B, rows, size, columns, size, C).transpose(2, 3)
    return x.reshape(-1, size * size, C), (rows * size, columns * size)


def window_unpartition(windows: Tensor, size: int, filled: Tuple[int, int], shape: Tuple[int, int]) -> Tensor:
    """Undo :func:`window_partition`.

    Args:
        windows: Shape ``(B * windows, size * size, C)``.
        size: Side of a window in tokens.
        filled: Height and width that :func:`window_partition` returned.
        shape: Height and width of the map without filling.

    Returns:
        Map of shape ``(B, *shape, C)``.
    """
    (rows, columns), (H, W) = (filled[0] // size, filled[1] // size), shape
    x = windows.view(-1, rows, columns, size, size, windows.shape[-1]).transpose(2, 3)
    return x.reshape(-1, *filled, windows.shape[-1])[:, :H, :W]
