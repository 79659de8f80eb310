"""Trading time for memory: activations of a block computed again in the backward pass."""
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .norm import running_statistics_kept


def checkpointed(block: nn.Module, *inputs: Tensor):
    """``block(*inputs)`` that keeps only its inputs for the backward pass; gradients and running statistics stay."""
    if torch.compiler.is_compiling():  # which takes no context, and keeps what is changed from being changed twice
        return checkpoint(block, *inputs, use_reentrant=False)
    return checkpoint(
        block, *inputs, use_reentrant=False, context_fn=lambda: (nullcontext(), running_statistics_kept(block)))
