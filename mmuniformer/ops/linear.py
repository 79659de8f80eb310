"""A linear map and the activation after it."""
import torch
import torch.nn.functional as F
from torch import Tensor


def linear_gelu(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``gelu(x W^T + b)``, for inference in one pass over the result where the CPU's library can.

    oneDNN applies bias and activation while a part of the product is in cache; PyTorch's Linear first copies the bias
    over the whole result, and the activation reads and writes it once more.

    Args:
        x: Shape ``(..., C)``.
        weight: Shape ``(C_out, C)``, or a 1x1 convolution's with trailing ones.
        bias: Shape ``(C_out,)``.

    Returns:
        Tensor of shape ``(..., C_out)``.
    """
    weight = weight.flatten(1)
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or not _on_onednn(x, weight):
        return F.gelu(F.linear(x, weight, bias))
    if torch.is_autocast_enabled('cpu'):
        x, weight, bias = (tensor.to(torch.get_autocast_dtype('cpu')) for tensor in (x, weight, bias))
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, 'gelu', [], 'none')


def _on_onednn(x: Tensor, weight: Tensor) -> bool:
    if x.device.type != 'cpu' or not torch.backends.mkldnn.is_available():
        return False
    dtype = torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else x.dtype
    recorded = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    return not recorded and x.dtype != torch.float64 and dtype in (torch.float32, torch.bfloat16)
