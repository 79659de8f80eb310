"""Convolutions of channels-last maps."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import channels_first, channels_last


def convolve(x: Tensor,
             weight: Tensor,
             bias: Tensor | None,
             stride: Sequence[int],
             padding: Sequence[int],
             groups: int = 1) -> Tensor:
    """Convolve a map of two or three dimensions.

    Args:
        x: Map of shape ``(B, *S, C)``.
        weight: Kernel of shape ``(C_out, C / groups, *K)``, as ``torch.nn.Conv2d`` and ``Conv3d`` keep it.
        bias: Shape ``(C_out,)`` or None.
        stride: Step along each of ``S``.
        padding: Zeros added at both ends of each of ``S``.
        groups: Groups of channels that do not mix; ``C`` for a depthwise convolution.

    Returns:
        Map of shape ``(B, *S_out, C_out)``.
    """
    conv = F.conv3d if weight.ndim == 5 else F.conv2d
    if _gradient_would_be_wrong(x, weight, groups):
        with torch.autocast('cpu', enabled=False):
            x32, bias32 = x.float(), None if bias is None else bias.float()
            out = conv(channels_first(x32), weight.float(), bias32, stride, padding, 1, groups)
        return channels_last(out).to(x.dtype)
    return channels_last(conv(channels_first(x), weight, bias, stride, padding, 1, groups))


def position_embed(x: Tensor, weight: Tensor, bias: Tensor | None, holds_identity: bool = False) -> Tensor:
    """``x`` plus a depthwise convolution of it that keeps its size (arXiv 2201.09450, Eq. 1).

    Args:
        x: Map of shape ``(B, *S, C)``.
        weight: Kernel of shape ``(C, 1, *K)``, of odd sides.
        bias: Shape ``(C,)`` or None.
        holds_identity: Whether the kernel's centre has the addition of ``x`` in it. Defaults to False.

    Returns:
        Map of shape ``(B, *S, C)``.
    """
    sides = weight.shape[2:]
    embedding = convolve(x, weight, bias, (1, ) * len(sides), [side // 2 for side in sides], x.shape[-1])
    return embedding if holds_identity else x + embedding


def _gradient_would_be_wrong(x: Tensor, weight: Tensor, groups: int) -> bool:
    """On the CPU in half precision, PyTorch's (2.11) weight gradient of a depthwise 3-D kernel reads stray memory."""
    if x.device.type != 'cpu' or weight.ndim != 5 or groups == 1 or not weight.requires_grad:
        return False
    half = x.dtype in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled('cpu')
    return half and torch.is_grad_enabled()


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A 1x1(x1) convolution, computed as the matrix product that it is.

    Args:
        x: Map of shape ``(B, *S, C)``.
        weight: Kernel of shape ``(C_out, C, 1, 1[, 1])``.
        bias: Shape ``(C_out,)`` or None.

    Returns:
        Map of shape ``(B, *S, C_out)``.
    """
    return F.linear(x, weight.flatten(1), bias)
