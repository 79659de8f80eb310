"""A linear map and what stands beside it in a block: a GELU after or before it, a sum."""
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import onednn


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
    if not onednn.fuses(x, weight, bias):
        return F.gelu(F.linear(x, weight, bias))
    return torch.ops.mkldnn._linear_pointwise(*onednn.autocast(x, weight, bias), 'gelu', [], 'none')


def linear_add(x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor) -> Tensor:
    """``residual + x W^T + b``, for inference in one pass over the result where the CPU's library can.

    Args:
        x: Shape ``(..., C)``.
        weight: Shape ``(C_out, C)``, or a 1x1 convolution's with trailing ones.
        bias: Shape ``(C_out,)``.
        residual: Shape ``(..., C_out)``.

    Returns:
        Tensor of shape ``(..., C_out)``.
    """
    weight = weight.flatten(1)
    if onednn.fuses(x, weight, bias, residual):
        operands = onednn.autocast(x, weight, bias)
        if residual.dtype == operands[0].dtype:
            return torch.ops.mkldnn._linear_pointwise.binary(operands[0], residual, *operands[1:], 'add')
    return residual + F.linear(x, weight, bias)


def gelu_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``gelu(x) W^T + b``, for training: its backward pass computes ``gelu(x)`` again.

    PyTorch's keeps that for the gradient of ``W`` beside the ``x`` that the GELU keeps: of a block's activations a
    quarter. Under autocast the product is in half precision, as PyTorch's.

    Args:
        x: Shape ``(..., C)``.
        weight: Shape ``(C_out, C)``, or a 1x1 convolution's with trailing ones.
        bias: Shape ``(C_out,)``.

    Returns:
        Tensor of shape ``(..., C_out)``.
    """
    weight = weight.flatten(1)
    if torch.compiler.is_compiling():  # which finds out by itself what not to keep
        return F.linear(F.gelu(x), weight, bias)
    if not x.is_meta and torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        dtype = torch.get_autocast_dtype(x.device.type)
        weight, bias = weight.to(dtype), bias.to(dtype)
    return _GeluLinear.apply(x, weight, bias)


class _GeluLinear(torch.autograd.Function):

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.linear(F.gelu(x).to(weight.dtype), weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        x, weight, _ = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        of_x = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_x = torch.ops.aten.gelu_backward((grad @ weight).to(x.dtype), x)
        if ctx.needs_input_grad[1]:
            of_weight = rows.T @ F.gelu(x).flatten(0, -2).to(grad.dtype)
        if ctx.needs_input_grad[2]:
            of_bias = rows.sum(0)
        return of_x, of_weight, of_bias
