"""Stochastic depth."""
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leave a residual branch out for some samples of the batch (arXiv 1603.09382), in training only.

    Args:
        rate: Probability to leave it out; what stays is scaled by ``1 / (1 - rate)``.
    """

    def __init__(self, rate: float = 0.):
        super().__init__()
        self.rate = float(rate)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty((x.shape[0], ) + (1, ) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * keep.div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f'rate={self.rate:.3g}'
