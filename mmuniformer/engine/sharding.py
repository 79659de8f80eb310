"""What a model needs that is sharded over processes (PyTorch's FullyShardedDataParallel)."""
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel

from mmuniformer.models.layers import GlobalBlock, LocalBlock
from mmuniformer.registry import FUNCTIONS


@FUNCTIONS.register_module()
def wrap_blocks(module: nn.Module, recurse: bool, nonwrapped_numel: int) -> bool:
    """The ``auto_wrap_policy`` of UniFormer: each block is a shard of its own, all else together another.

    So a process holds the whole parameters of one block at a time (of two with prefetching), and those outside of
    blocks: embeddings, norms, and what the framework puts around the backbone.

    Args:
        module: Module of the model.
        recurse: Whether PyTorch asks if it is to look into ``module``, and not if to wrap it.
        nonwrapped_numel: Parameters in it that are not wrapped yet.
    """
    return recurse or isinstance(module, (LocalBlock, GlobalBlock))


@contextmanager
def unsharded(model: nn.Module) -> Iterator[None]:
    """Within it, the modules in a sharded model hold whole parameters and have the names they had before.

    They can be run as they are, without talking to other processes, but every process must enter. What is done to the
    parameters is lost. A model that is not sharded stays as it is.

    Args:
        model: The root of a sharded model, or another.
    """
    if not isinstance(model, FullyShardedDataParallel):
        yield
        return
    with FullyShardedDataParallel.summon_full_params(model, writeback=False):
        wrapped = [(parent, name, child) for parent in model.modules() for name, child in parent._modules.items()
                   if isinstance(child, FullyShardedDataParallel)]
        for parent, name, child in wrapped:
            parent._modules[name] = child.module
        try:
            yield
        finally:
            for parent, name, child in wrapped:
                parent._modules[name] = child
