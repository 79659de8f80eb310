"""Depthwise convolutions on CUDA: PyTorch's, or Triton kernels where these were measured to be faster.

The first time that a convolution of some kernel, channels, precision and (rounded) size is computed, all ways are timed
on it and the fastest is kept for the rest of the process. The environment variable ``MMUNIFORMER_DEPTHWISE`` chooses:
``auto`` as said (the default), ``plain`` for PyTorch's alone, ``triton`` for the kernels wherever they can be. With
``torch.use_deterministic_algorithms(True)`` nothing is timed and PyTorch's are taken.
"""
import functools
import logging
import os
import statistics
from collections.abc import Callable
from contextlib import nullcontext
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor

from .layout import channels_first, channels_last

SWITCH = 'MMUNIFORMER_DEPTHWISE'
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
#: Timed runs of each way, after one that compiles it.
REPEATS = 5

#: Whether Triton's kernels run in its interpreter, on tensors of any device; Triton reads it once, too.
INTERPRETED = os.environ.get('TRITON_INTERPRET') == '1'

_fastest: dict[tuple, Callable[..., Tensor]] = {}
_broken: set[str] = set()


def takes(x: Tensor) -> bool:
    """Whether the kernels may convolve ``x``: of three precisions, on CUDA, or anywhere in Triton's interpreter.

    Raises:
        ValueError: When the environment variable is none of its values.
    """
    return x.dtype in DTYPES and (x.is_cuda or INTERPRETED) and _allowed()


@torch.compiler.assume_constant_result
def _allowed() -> bool:
    mode = _mode()
    if mode == 'plain' or (mode == 'auto' and torch.are_deterministic_algorithms_enabled()):
        return False
    return _kernels() is not None


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, add_input: bool) -> Tensor:
    """As :func:`mmuniformer.ops.depthwise_convolve`, without a gradient; all of one precision."""

    def plain(x: Tensor, weight: Tensor, bias: Tensor | None, add_input: bool) -> Tensor:
        conv = F.conv3d if weight.ndim == 5 else F.conv2d
        padding = [side // 2 for side in weight.shape[2:]]
        result = channels_last(conv(channels_first(x), weight, bias, 1, padding, 1, len(weight)))
        return x + result if add_input else result

    kernels = _kernels()
    ways = [functools.partial(kernels.convolve, tile=tile) for tile in kernels.CONVOLVE_TILES]
    return _run('convolution', plain, ways, x, weight, bias, add_input, key=(weight.shape[2:], bias is None, add_input))


def kernel_gradient(x: Tensor, grad: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Gradient ``(C, 1, *K)`` of a kernel, in float32, between maps ``(B, *S, C)``."""

    def plain(x: Tensor, grad: Tensor, sides: tuple[int, ...]) -> Tensor:
        ndim, channels = len(sides), x.shape[-1]
        return torch.ops.aten.convolution_backward(
            channels_first(grad), channels_first(x), x.new_empty(channels, 1, *sides), None, [1] * ndim,
            [side // 2 for side in sides], [1] * ndim, False, [0] * ndim, channels, [False, True, False])[1].float()

    kernels = _kernels()
    ways = [functools.partial(kernels.kernel_gradient, tile=tile) for tile in kernels.KERNEL_GRADIENT_TILES]
    return _run('gradient', plain, ways, x, grad, sides, key=sides)


def _run(name: str, plain: Callable[..., Tensor], ways: list[Callable[..., Tensor]], *args, key: tuple) -> Tensor:
    """Compute by the fastest way; ``args`` begin with the map."""
    x = args[0]
    # Triton starts its kernels on the current device, which need not be the map's.
    with torch.cuda.device(x.device) if x.is_cuda else nullcontext():
        return _run_there(name, plain, ways, *args, key=key)


def _run_there(name: str, plain: Callable[..., Tensor], ways: list[Callable[..., Tensor]], *args,
               key: tuple) -> Tensor:
    x = args[0]
    if _mode() == 'triton':
        return ways[0](*args)
    if name in _broken:
        return plain(*args)
    # Sizes of one power of two are one: images of every size would have to be timed each.
    key = (name, x.device, x.dtype, x.shape[-1], x.numel().bit_length(), *key)
    if key not in _fastest:
        if torch.cuda.is_current_stream_capturing():
            return plain(*args)
        timed = [(_seconds(plain, *args), plain)]
        for way in ways:
            way = _or_plain(name, way, plain)
            timed.append((_seconds(way, *args), way))
        _fastest[key] = plain if name in _broken else min(timed, key=lambda pair: pair[0])[1]
    return _fastest[key](*args)


def _or_plain(name: str, way: Callable[..., Tensor], plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``way`` that computes plainly, and is not tried again, where it can't be compiled or run."""

    def run(*args) -> Tensor:
        if name not in _broken:
            try:
                return way(*args)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:  # whatever a compiler finds
                _broken.add(name)
                _logger().warning('Triton can not compute the depthwise %s here, PyTorch does instead: %s', name, error)
        return plain(*args)

    return run


def _seconds(run: Callable[..., Tensor], *args) -> float:
    run(*args)
    times = []
    for _ in range(REPEATS):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        run(*args)
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def _mode() -> str:
    mode = os.environ.get(SWITCH, 'auto')
    if mode not in ('auto', 'plain', 'triton'):
        raise ValueError(f'the environment variable {SWITCH} must be auto, plain or triton, not {mode!r}')
    return mode


@functools.cache
def _kernels() -> ModuleType | None:
    """The module of the kernels; None where there is no Triton."""
    try:
        from . import triton_depthwise
    except ImportError as error:
        _logger().warning('no Triton, so PyTorch computes the depthwise convolutions: %s', error)
        return None
    return triton_depthwise


def _logger() -> logging.Logger:
    return logging.getLogger('mmuniformer')
