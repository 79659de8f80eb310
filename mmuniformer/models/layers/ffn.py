"""The feed-forward network."""
from collections.abc import Callable

from torch import Tensor, nn

from mmuniformer.ops import linear_gelu


class FeedForward(nn.Module):
    """Two linear maps over channels with a GELU between them (arXiv 2201.09450, Eq. 3).

    Args:
        dim: Channels in and out.
        hidden_dim: Channels between.
        drop: Dropout rate after each of the two.
        linear: What makes a linear map of given channels in and out.
    """
    #: Whether the first map and the GELU may be one operation, without the hooks of these modules; see
    #: :mod:`mmuniformer.models.deploy`.
    fused = False

    def __init__(self,
                 dim: int,
                 hidden_dim: int,
                 drop: float = 0.,
                 linear: Callable[[int, int], nn.Module] = nn.Linear):
        super().__init__()
        self.fc1 = linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = linear(hidden_dim, dim)
        self.drop = nn.Dropout(drop)

    def forward(self, x: Tensor) -> Tensor:
        if self.fused:
            return self.fc2(linear_gelu(x, self.fc1.weight, self.fc1.bias))
        return self.drop(self.fc2(self.drop(self.act(self.fc1(x)))))
