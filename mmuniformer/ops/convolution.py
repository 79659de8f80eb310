"""Convolutions of channels-last maps."""
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import onednn
from .layout import channels_first, channels_last


def convolve(x: Tensor,
             weight: Tensor,
             bias: Tensor | None,
             stride: Sequence[int],
             padding: Sequence[int],
             gelu: bool = False) -> Tensor:
    """Convolve a map of two or three dimensions.

    A kernel of one frame convolves every frame as an image. On the CPU PyTorch (2.11) has a 3-D convolution of its own
    for single small clips, which takes up to seven times as long as oneDNN's, so oneDNN's is asked for by name.

    Args:
        x: Map of shape ``(B, *S, C)``.
        weight: Kernel of shape ``(C_out, C, *K)``, as ``torch.nn.Conv2d`` and ``Conv3d`` keep it.
        bias: Shape ``(C_out,)`` or None.
        stride: Step along each of ``S``.
        padding: Zeros added at both ends of each of ``S``.
        gelu: Whether to apply a GELU; for inference in one pass over the result where the CPU's library can. Defaults
            to False.

    Returns:
        Map of shape ``(B, *S_out, C_out)``.
    """
    if weight.ndim == 5 and (weight.shape[2], stride[0], padding[0]) == (1, 1, 0):
        frames = convolve(x.flatten(0, 1), weight.squeeze(2), bias, stride[1:], padding[1:], gelu)
        return frames.unflatten(0, x.shape[:2])
    x = channels_first(x)
    if gelu and onednn.fuses(x, weight, bias):
        x, weight, bias = onednn.autocast(x, weight, bias)
        dilation = [1] * len(stride)
        return channels_last(torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, padding, stride, dilation, 1, 'gelu', [], 'none'))
    if weight.ndim == 5 and onednn.is_there(x) and _is_float32(x):
        result = torch.ops.aten.mkldnn_convolution(x, weight, bias, padding, stride, [1] * 3, 1)
    else:
        result = (F.conv3d if weight.ndim == 5 else F.conv2d)(x, weight, bias, stride, padding)
    return channels_last(F.gelu(result) if gelu else result)


def _is_float32(x: Tensor) -> bool:
    return x.dtype == torch.float32 and not torch.is_autocast_enabled('cpu')


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
