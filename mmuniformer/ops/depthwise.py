"""Depthwise convolutions that keep the size of the map: the local relation and every position embedding."""
import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import depthwise_cpu, depthwise_cuda
from .layout import channels_first, channels_last
from .tracing import is_exporting


def depthwise_convolve(x: Tensor, weight: Tensor, bias: Tensor | None, add_input: bool = False) -> Tensor:
    """Convolve each channel of a map by itself, in steps of one, with zeros around it, so that it keeps its size.

    On the CPU the convolution is PyTorch's and its gradients are :mod:`mmuniformer.ops.depthwise_cpu`'s; on CUDA both
    are whatever :mod:`mmuniformer.ops.depthwise_cuda` finds fastest; elsewhere, and in exported programs, PyTorch's.

    Args:
        x: Map of shape ``(B, *S, C)``, of two or three dimensions.
        weight: Kernel of shape ``(C, 1, *K)``, of odd sides.
        bias: Shape ``(C,)`` or None.
        add_input: Whether to add ``x`` to the result, in the precision of ``x``. Defaults to False.

    Returns:
        Map of shape ``(B, *S, C)``.
    """
    traced = _is_traced()
    if not traced and depthwise_cuda.takes(x):
        # The kernel adds the input that it has read: under autocast a copy of it in half precision would not pay.
        x = channels_first(x if add_input else _autocast(x))
        return channels_last(_DepthwiseConvolution.apply(x, weight, bias, add_input))
    if not traced and x.device.type == 'cpu' and _recorded(x, weight, bias):
        result = _DepthwiseConvolution.apply(channels_first(_autocast(x)), weight, bias, False)
    else:
        result = _convolve(channels_first(x), weight, bias, False)
    result = channels_last(result)
    return x + result if add_input else result


class _DepthwiseConvolution(torch.autograd.Function):
    """The convolution with gradients of its own, several times as fast as PyTorch's.

    The gradient of the input is the convolution of the result's gradient with the mirrored kernel. Kernel and bias may
    be of higher precision than the map, as under autocast; their gradients are of theirs. Maps are ``(B, C, *S)``, as
    PyTorch's convolution takes and gives them: Dynamo (2.11) loses the gradient of a view that is made in here.
    """

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor | None, add_input: bool) -> Tensor:
        weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
        if depthwise_cuda.takes(x):
            return _convolve_on_cuda(x, weight, bias, add_input)
        return _convolve(x, weight, bias, add_input)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, weight, bias, ctx.add_input = inputs
        ctx.save_for_backward(x, weight)
        ctx.bias_dtype = None if bias is None else bias.dtype

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        # Where this itself is to be differentiated, it is made of PyTorch's operations.
        on_cuda = depthwise_cuda.takes(x) and not torch.is_grad_enabled()
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            mirrored = weight.to(grad.dtype).flip(list(range(2, weight.ndim)))
            of_x = (_convolve_on_cuda if on_cuda else _convolve)(grad, mirrored, None, ctx.add_input)
        if ctx.needs_input_grad[1]:
            of_weight = _kernel_gradient(x, grad, weight.shape[2:], on_cuda).to(weight.dtype)
        if ctx.needs_input_grad[2]:
            of_bias = channels_last(grad).flatten(0, -2).sum(0, dtype=ctx.bias_dtype)
        return of_x, of_weight, of_bias, None


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None, add_input: bool) -> Tensor:
    """PyTorch's convolution of a map ``(B, C, *S)``."""
    conv = F.conv3d if weight.ndim == 5 else F.conv2d
    result = conv(x, weight, bias, 1, [side // 2 for side in weight.shape[2:]], 1, weight.shape[0])
    return x + result if add_input else result


def _opaque(name: str, fake: Callable[..., Tensor]) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Make a function one operation for compilers, which could not or not quickly look through what it is made of."""

    def decorate(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        operation = torch.library.custom_op(f'mmuniformer::{name}', function, mutates_args=())
        operation.register_fake(fake)

        @functools.wraps(function)
        def run(*args) -> Tensor:
            return operation(*args) if torch.compiler.is_compiling() else function(*args)

        return run

    return decorate


@_opaque('depthwise_convolve', lambda x, weight, bias, add_input: torch.empty_like(
    x, memory_format=torch.channels_last if x.ndim == 4 else torch.channels_last_3d))
def _convolve_on_cuda(x: Tensor, weight: Tensor, bias: Tensor | None, add_input: bool) -> Tensor:
    """The fastest convolution of a map ``(B, C, *S)`` on CUDA."""
    return channels_first(depthwise_cuda.convolve(channels_last(x), weight, bias, add_input))


@_opaque('depthwise_kernel_gradient', lambda x, grad, sides, on_cuda: x.new_empty(
    (x.shape[1], 1, *sides), dtype=torch.promote_types(x.dtype, torch.float32)))
def _kernel_gradient(x: Tensor, grad: Tensor, sides: Sequence[int], on_cuda: bool) -> Tensor:
    """The kernel's gradient between maps ``(B, C, *S)``, in float32 at least."""
    device = depthwise_cuda if on_cuda else depthwise_cpu
    # A compiler reads the result as contiguous, as it was told above; this small one may be a view.
    return device.kernel_gradient(channels_last(x), channels_last(grad), tuple(sides)).contiguous()


def _autocast(x: Tensor) -> Tensor:
    """``x`` in the precision in which autocast, if it is on, computes convolutions."""
    if x.dtype == torch.float64 or not torch.is_autocast_enabled(x.device.type):
        return x
    return x.to(torch.get_autocast_dtype(x.device.type))


def _recorded(*tensors: Tensor | None) -> bool:
    """Whether a gradient of one of them may be asked for."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)


def _is_traced() -> bool:
    """Whether a program is being written down that should hold nothing but PyTorch's own operations."""
    return is_exporting() or torch.jit.is_tracing()
