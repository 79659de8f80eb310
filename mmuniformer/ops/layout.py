"""The memory layout of feature maps.

Inside the network a map is a tensor of shape ``(B, *S, C)``, channels last in shape and in memory, so LayerNorm and
Linear run on it as it lies and its tokens ``(B, N, C)`` are a view. Convolutions and BatchNorm want ``(B, C, *S)``:
:func:`channels_first` gives it as a view whose strides are PyTorch's ``channels_last`` memory format, and they answer
in the same format.
"""
from torch import Tensor


def channels_last(x: Tensor) -> Tensor:
    """``(B, C, *S)`` to ``(B, *S, C)``, contiguous: a copy only where the memory is not channels-last already."""
    return x.movedim(1, -1).contiguous()


def channels_first(x: Tensor) -> Tensor:
    """``(B, *S, C)`` to ``(B, C, *S)``, always a view."""
    return x.movedim(-1, 1)
