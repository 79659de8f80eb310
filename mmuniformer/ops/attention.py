"""Scaled dot-product attention: the one place that chooses how it is computed."""
import torch
import torch.nn.functional as F
from torch import Tensor

#: Tokens up to which two plain matrix products are taken on the CPU in half precision.
PLAIN_CPU_TOKENS = 2048


def attention(q: Tensor, k: Tensor, v: Tensor, dropout: float = 0.) -> Tensor:
    """``softmax(q k^T / sqrt(D)) v`` (arXiv 2201.09450, Eq. 5 with the content affinity of Eq. 8).

    PyTorch's fused kernels keep no ``N x N`` matrix. On the CPU in half precision their kernel loses to two plain
    products, which are taken there while the matrix is small and nothing has to be kept for a backward pass.

    Args:
        q: Queries, shape ``(B, heads, N, D)``.
        k: Keys, same shape.
        v: Values, same shape.
        dropout: Share of the affinities set to zero; pass 0 outside training.

    Returns:
        Tensor of shape ``(B, heads, N, D)``.
    """
    half_on_cpu = q.device.type == 'cpu' and q.dtype in (torch.bfloat16, torch.float16)
    if half_on_cpu and not dropout and not q.requires_grad and k.shape[-2] <= PLAIN_CPU_TOKENS:
        affinity = (q * q.shape[-1]**-0.5) @ k.transpose(-2, -1)
        return affinity.softmax(-1) @ v
    return F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
