"""Stochastic depth."""
from torch import Tensor, nn


class DropPath(nn.Module):
    """Leave a residual branch out for some samples of the batch (arXiv 1603.09382), in training only.

    Args:
        rate: Probability to leave it out, below 1; what stays is scaled by ``1 / (1 - rate)``. Defaults to 0.

    Raises:
        ValueError: When the rate is no such probability.
    """

    def __init__(self, rate: float = 0.):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f'the rate of stochastic depth must be at least 0 and less than 1, got {rate}')
        self.rate = float(rate)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty((x.shape[0], ) + (1, ) * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * keep.div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f'rate={self.rate:.3g}'
