"""Scaled dot-product attention: the one place that chooses how it is computed."""
import torch
import torch.nn.functional as F
from torch import Tensor

#: Tokens up to which two plain matrix products are taken on the CPU in half precision.
PLAIN_CPU_TOKENS = 2048


def attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0., scale: float | None = None) -> Tensor:
    """``softmax(q k^T / sqrt(D)) v`` (arXiv 2201.09450, Eq. 5 with the content affinity of Eq. 8).

    PyTorch's fused kernels keep no ``N x N`` matrix. On the CPU in half precision their kernel loses to two plain
    products, which are taken there while the matrix is small and nothing has to be kept for a backward pass.

    Args:
        q: Queries, shape ``(B, heads, N, D)``.
        k: Keys, same shape.
        v: Values, same shape.
        dropout: Share of the affinities set to zero; pass 0 outside training.
        scale: Factor of the logits ``q k^T``. Defaults to ``1 / sqrt(D)``.

    Returns:
        Tensor of shape ``(B, heads, N, D)``.
    """
    half_on_cpu = q.device.type == 'cpu' and q.dtype in (torch.bfloat16, torch.float16)
    if half_on_cpu and not dropout and not q.requires_grad and k.shape[-2] <= PLAIN_CPU_TOKENS:
        scale = q.shape[-1]**-0.5 if scale is None else scale
        affinity = (q if scale == 1 else q * scale) @ k.transpose(-2, -1)
        return affinity.softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scale)
