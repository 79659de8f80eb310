"""Multi-head self-attention."""
from torch import Tensor, nn

from mmuniformer.ops import attention


class Attention(nn.Module):
    """Self-attention over all tokens it is given (arXiv 2201.09450, Eq. 8).

    Args:
        dim: Channels.
        head_dim: Channels of a head; ``dim`` is a multiple of it.
        attn_drop: Dropout rate of the affinities.
        proj_drop: Dropout rate of the output.
    """

    def __init__(self, dim: int, head_dim: int, attn_drop: float = 0., proj_drop: float = 0.):
        super().__init__()
        self.head_dim = head_dim
        self.num_heads = dim // head_dim
        self.attn_drop = attn_drop
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, x: Tensor) -> Tensor:
        """Relate tokens.

        Args:
            x: Tokens of shape ``(B, N, C)``.

        Returns:
            Tokens of shape ``(B, N, C)``.
        """
        B, N, C = x.shape
        q, k, v = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)
        x = attention(q, k, v, self.attn_drop if self.training else 0.)
        return self.proj_drop(self.proj(x.transpose(1, 2).reshape(B, N, C)))
