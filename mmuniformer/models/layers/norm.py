"""Normalisation of channels-last maps."""
from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from mmuniformer.ops import channels_first, channels_last

#: The release's: LayerNorms of attention blocks and outputs; those of patch embeddings keep PyTorch's 1e-5.
LAYER_NORM_EPS = 1e-6


def batch_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Apply a BatchNorm (any that takes ``(B, C, *S)``) to a map ``(B, *S, C)``."""
    return channels_last(norm(channels_first(x)))


@contextmanager
def running_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Within it, BatchNorms of ``module`` in training mode leave their running statistics alone.

    Activation checkpointing runs a block's forward twice; without this the second run would count its batch again.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, (_, counted) in zip(norms, before):
        # What counts is a copy; SyncBatchNorm does not take None for it.
        norm.momentum, norm.num_batches_tracked = 0., None if counted is None else counted.clone()
    try:
        yield
    finally:
        for norm, (momentum, counted) in zip(norms, before):
            norm.momentum, norm.num_batches_tracked = momentum, counted
