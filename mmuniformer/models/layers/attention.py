"""Multi-head self-attention."""

import torch
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
        #: Factor of the affinities' logits; 1 where the queries' weights hold it, see :mod:`mmuniformer.models.deploy`.
        self.scale = head_dim**-0.5
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
        return self._related(*self._queries_keys_values(x))

    def _queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        B, N, _ = x.shape
        return self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4).unbind(0)

    def _related(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        x = attention(q, k, v, self.attn_drop if self.training else 0., self.scale)
        return self.proj_drop(self.proj(x.transpose(1, 2).flatten(2)))


class ClassAttention(Attention):
    """Self-attention that also tells how much the first token, the class token, attends to the others.

    The arguments are :class:`Attention`'s.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Relate tokens.

        Args:
            x: Tokens of shape ``(B, N, C)``, the class token first.

        Returns:
            Tokens of shape ``(B, N, C)``, and the class token's affinity to the others, the mean over heads, of shape
            ``(B, N - 1)`` in float32 at least: half precision would round small affinities to zero.
        """
        q, k, v = self._queries_keys_values(x)
        exact = torch.promote_types(q.dtype, torch.float32)
        # One row of the matrix that the fused kernel never writes; a sum of products, since autocast would take a
        # matrix product to half precision.
        logits = (q[:, :, :1].to(exact) * k.to(exact)).sum(-1) * self.scale
        return self._related(q, k, v), logits.softmax(-1)[..., 1:].mean(1)
