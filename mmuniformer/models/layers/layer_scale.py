"""Layer scale: a learned factor for each channel of a residual branch (arXiv 2103.17239)."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def gamma(shape: Sequence[int], value: float) -> nn.Parameter:
    """The factors of a branch, all of one initial value."""
    return nn.Parameter(torch.full(tuple(shape), float(value)))


def scaled(block: nn.Module, name: str, branch: Tensor) -> Tensor:
    """A branch ``(..., C)`` times the block's factors of this name, where the block has ``layer_scale``."""
    return getattr(block, name).flatten() * branch if block.layer_scale else branch
