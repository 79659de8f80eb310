"""Triton kernels of depthwise convolutions of channels-last maps that keep the size of the map.

Positions ``(B, T, H, W)`` are counted through in one row, so that no map is too odd or too small for a tile; an image
is a clip of one frame. Sums are in float32.
"""
from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

#: Programs among which the positions are divided for the gradient of a kernel; the same on every device, since the
#: order of the sums depends on it.
PROGRAMS = 2048


class Tile(NamedTuple):
    """What one program computes at a time."""
    positions: int
    channels: int
    warps: int


#: Tiles worth trying, for :func:`convolve` and for :func:`kernel_gradient`.
CONVOLVE_TILES = (Tile(32, 64, 4), Tile(64, 32, 4), Tile(16, 64, 2))
KERNEL_GRADIENT_TILES = (Tile(16, 32, 4), Tile(32, 16, 4), Tile(8, 64, 4))


@triton.jit
def _place(position, T, H, W):
    """Frame, row and column of positions counted through."""
    row = position // W
    return (row // H) % T, row % H, position % W


@triton.jit
def _convolve(x_ptr, weight_ptr, bias_ptr, out_ptr, positions, T, H, W, C,
              KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, HAS_BIAS: tl.constexpr, ADD_INPUT: tl.constexpr,
              BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    position = tl.program_id(0).to(tl.int64) * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    there, in_channels = position < positions, channel < C
    t, h, w = _place(position, T, H, W)
    offset = position[:, None] * C + channel[None, :]

    total = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
    for line in range(KT * KH):
        dt, dh = line // KH - KT // 2, line % KH - KH // 2
        inside = there & (t + dt >= 0) & (t + dt < T) & (h + dh >= 0) & (h + dh < H)
        for column in tl.static_range(KW):
            dw = column - KW // 2
            mask = (inside & (w + dw >= 0) & (w + dw < W))[:, None] & in_channels[None, :]
            step = ((dt * H + dh) * W + dw) * C
            value = tl.load(x_ptr + (offset + step), mask=mask, other=0.)
            factor = tl.load(weight_ptr + (line * KW + column) * C + channel, mask=in_channels, other=0.)
            total += value.to(tl.float32) * factor.to(tl.float32)[None, :]
    mask = there[:, None] & in_channels[None, :]
    if HAS_BIAS:
        total += tl.load(bias_ptr + channel, mask=in_channels, other=0.).to(tl.float32)[None, :]
    if ADD_INPUT:
        total += tl.load(x_ptr + offset, mask=mask, other=0.).to(tl.float32)
    tl.store(out_ptr + offset, total.to(out_ptr.dtype.element_ty), mask=mask)


@triton.jit
def _kernel_gradient(x_ptr, grad_ptr, out_ptr, positions, T, H, W, C,
                     KT: tl.constexpr, KH: tl.constexpr, KW: tl.constexpr, WIDTH: tl.constexpr, STEPS: tl.constexpr,
                     BLOCK_P: tl.constexpr, BLOCK_C: tl.constexpr):
    line = tl.program_id(1)
    dt, dh = line // KH - KT // 2, line % KH - KH // 2
    channel = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    column = tl.arange(0, WIDTH)
    in_channels, in_columns = channel < C, column < KW
    dw = column - KW // 2

    first = tl.program_id(0).to(tl.int64) * (STEPS * BLOCK_P)
    total = tl.zeros((WIDTH, BLOCK_P, BLOCK_C), tl.float32)
    for done in range(STEPS):
        position = first + done * BLOCK_P + tl.arange(0, BLOCK_P)
        there = position < positions
        t, h, w = _place(position, T, H, W)
        offset = position[:, None] * C + channel[None, :]
        grad = tl.load(grad_ptr + offset, mask=there[:, None] & in_channels[None, :], other=0.)
        inside = there & (t + dt >= 0) & (t + dt < T) & (h + dh >= 0) & (h + dh < H)
        beside = w[None, :] + dw[:, None]
        inside = inside[None, :] & in_columns[:, None] & (beside >= 0) & (beside < W)
        step = ((dt * H + dh) * W + dw) * C
        value = tl.load(x_ptr + (offset[None, :, :] + step[:, None, None]),
                        mask=inside[:, :, None] & in_channels[None, None, :], other=0.)
        total += value.to(tl.float32) * grad.to(tl.float32)[None, :, :]

    tap = (tl.program_id(0) * KT * KH + line) * KW + column
    tl.store(out_ptr + (tap[:, None] * C + channel[None, :]), tl.sum(total, 1),
             mask=in_columns[:, None] & in_channels[None, :])


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, add_input: bool, tile: Tile) -> Tensor:
    """Convolve each channel by itself, with zeros around the map.

    Args:
        x: Map of shape ``(B, *S, C)``, of two or three dimensions; copied if it is not contiguous.
        weight: Kernel of shape ``(C, 1, *K)``, of odd sides.
        bias: Shape ``(C,)`` or None.
        add_input: Whether to add ``x`` to the result.
        tile: One of :data:`CONVOLVE_TILES`.

    Returns:
        Map of the shape and dtype of ``x``, contiguous.
    """
    x = x.contiguous()
    out = torch.empty_like(x)
    channels, positions, block = _sizes(x, tile)
    taps = weight.flatten(1).t().contiguous()
    grid = (triton.cdiv(positions, tile.positions), triton.cdiv(channels, block))
    _convolve[grid](
        x, taps, bias, out, positions, *_clip(x.shape[1:-1]), channels, *_clip(weight.shape[2:]),
        HAS_BIAS=bias is not None, ADD_INPUT=add_input, BLOCK_P=tile.positions, BLOCK_C=block, num_warps=tile.warps)
    return out


def kernel_gradient(x: Tensor, grad: Tensor, sides: tuple[int, ...], tile: Tile) -> Tensor:
    """The gradient of a kernel; the same bits whenever it is computed with the same tile.

    Args:
        x: What was convolved, shape ``(B, *S, C)``; copied if it is not contiguous.
        grad: Gradient of the result, same shape; copied if it is not contiguous.
        sides: Sides ``K`` of the kernel, odd, as many as ``S``.
        tile: One of :data:`KERNEL_GRADIENT_TILES`.

    Returns:
        Tensor of shape ``(C, 1, *K)``, float32.
    """
    x, grad = x.contiguous(), grad.contiguous()
    channels, positions, block = _sizes(x, tile)
    kernel = _clip(sides)
    lines, blocks = kernel[0] * kernel[1], triton.cdiv(channels, block)
    tiles = triton.cdiv(positions, tile.positions)
    # A power of two, since a kernel is compiled for each number.
    steps = triton.next_power_of_2(max(1, triton.cdiv(tiles * lines * blocks, PROGRAMS)))
    parts = triton.cdiv(tiles, steps)
    sums = x.new_empty(parts, lines * kernel[2], channels, dtype=torch.float32)
    _kernel_gradient[(parts, lines, blocks)](
        x, grad, sums, positions, *_clip(x.shape[1:-1]), channels, *kernel,
        WIDTH=triton.next_power_of_2(kernel[2]), STEPS=steps, BLOCK_P=tile.positions, BLOCK_C=block,
        num_warps=tile.warps)
    return sums.sum(0).t().reshape(channels, 1, *sides)


def _sizes(x: Tensor, tile: Tile) -> tuple[int, int, int]:
    """Channels, positions, and channels of a program."""
    channels = x.shape[-1]
    return channels, x.numel() // channels, min(tile.channels, triton.next_power_of_2(channels))


def _clip(sides: tuple[int, ...]) -> tuple[int, int, int]:
    """Sides in time and space."""
    return (1, ) * (3 - len(sides)) + tuple(sides)
