"""Scaled dot-product attention: the one place that chooses how it is computed."""
import torch.nn.functional as F
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0., scale: float | None = None) -> Tensor:
    """``softmax(q k^T / sqrt(D)) v`` (arXiv 2201.09450, Eq. 5 with the content affinity of Eq. 8).

    PyTorch's fused kernels keep no ``N x N`` matrix, and nothing measured beats them: two plain products and a softmax
    took longer on the CPU in half precision, too.

    Args:
        q: Queries, shape ``(B, heads, N, D)``.
        k: Keys, same shape.
        v: Values, same shape.
        dropout: Share of the affinities set to zero; pass 0 outside training.
        scale: Factor of the logits ``q k^T``. Defaults to ``1 / sqrt(D)``.

    Returns:
        Tensor of shape ``(B, heads, N, D)``.
    """
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
