"""What automatic mixed precision must leave in the precision of the parameters."""
import torch
from torch import Tensor, nn


def exact(layer: nn.Module, x: Tensor) -> Tensor:
    """``layer(x)`` as without autocast: for layers on a map that no norm bounds, which float16 can't hold."""
    if x.is_meta or not torch.is_autocast_enabled(x.device.type):
        return layer(x)
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(next(layer.parameters()).dtype))
