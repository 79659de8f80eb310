"""When oneDNN, the library under PyTorch's operators on the CPU, is asked by name."""
import torch
from torch import Tensor


def is_there(x: Tensor) -> bool:
    """Whether it can be: not for a program that is recorded, which may run elsewhere."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    return x.device.type == 'cpu' and torch.backends.mkldnn.is_available()


def fuses(x: Tensor, *others: Tensor | None) -> bool:
    """Whether it can go on with parts of a result while they are in the cache: not where gradients are wanted, of the
    map ``x`` or of the other operands."""
    if not is_there(x):
        return False
    dtype = torch.get_autocast_dtype('cpu') if torch.is_autocast_enabled('cpu') else x.dtype
    operands = [tensor for tensor in (x, *others) if tensor is not None]
    recorded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in operands)
    # Asked by name, it does not fall back where the processor lacks what its bfloat16 is made of.
    known = dtype == torch.float32 or dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return known and not recorded and x.dtype != torch.float64


def autocast(*tensors: Tensor | None) -> tuple[Tensor | None, ...]:
    """Operands as autocast would give them to an operator; it does not know those that are called by name."""
    if not torch.is_autocast_enabled('cpu'):
        return tensors
    dtype = torch.get_autocast_dtype('cpu')
    return tuple(None if tensor is None else tensor.to(dtype) for tensor in tensors)
