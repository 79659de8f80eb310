"""The gradient of a depthwise convolution's kernel on the CPU."""
import torch
from torch import Tensor

#: Widest kernel whose gradient oneDNN computes with its fast code, whatever the height.
FAST_WIDTH = 3


def kernel_gradient(x: Tensor, grad: Tensor, sides: tuple[int, ...]) -> Tensor:
    """The gradient of a kernel of stride 1 that keeps the size of the map, made of 2-D gradients of narrow kernels.

    oneDNN has fast code for 2-D kernels of up to three columns only; for wider and for 3-D ones PyTorch's gradient
    takes many times as long as the convolution. Each step in time is a 2-D kernel between shifted frames, and a wider
    kernel is several narrow ones between shifted columns. All shifts are views: the maps are copied at most once, time
    outermost, with zeros between the rows.

    Args:
        x: What was convolved, shape ``(B, *S, C)``, contiguous.
        grad: Gradient of the result, same shape, contiguous.
        sides: Sides ``K`` of the kernel, odd, as many as ``S``.

    Returns:
        Tensor of shape ``(C, 1, *K)``, in float32 at least: in half precision the narrow gradients are slower, and
        PyTorch's (2.11) of 3-D kernels are wrong.
    """
    if len(sides) == 2:
        return kernel_gradient(x[:, None], grad[:, None], (1, *sides)).squeeze(2)
    dtype = torch.promote_types(x.dtype, torch.float32)
    frames, (time, height, width) = x.shape[1], sides
    reach, narrow = width // 2, min(width, FAST_WIDTH)
    # Middle columns of the narrow kernels, counted from the kernel's own; the last overlaps the one before.
    last = reach - narrow // 2
    middles = [*range(-last, last, narrow), last]
    grad = _frames(grad, last, dtype)(0)
    shifted = _frames(x, last, dtype)

    result = grad.new_zeros(x.shape[-1], 1, *sides)
    for middle in middles:
        columns = shifted(middle)
        first = middle - middles[0]
        for step in range(time):
            ahead = step - time // 2
            if abs(ahead) < frames:
                start, stop = max(0, -ahead), min(frames, frames - ahead)
                result[:, :, step, :, first:first + narrow] = _kernel_gradient_2d(
                    columns[start + ahead:stop + ahead], grad[start:stop], (height, narrow))
    return result


def _frames(x: Tensor, border: int, dtype: torch.dtype):
    """A function of a shift: ``x``, its columns that far ahead, as ``(T, B, H, W + 2 border, C)``, zeros in borders."""
    x = x.transpose(0, 1)
    if not border:
        return lambda shift: x.to(dtype).contiguous()
    *outer, columns, channels = x.shape
    shape = (*outer, columns + 2 * border, channels)
    slack, size = border * channels, x.numel() // columns * shape[-2]
    # A row's right border and the next row's left one are as wide together as any shift reaches.
    memory = x.new_zeros(size + 2 * slack, dtype=dtype)
    memory[slack:slack + size].view(shape)[..., border:border + columns, :] = x
    return lambda shift: memory[slack + shift * channels:slack + shift * channels + size].view(shape)


def _kernel_gradient_2d(x: Tensor, grad: Tensor, sides: tuple[int, int]) -> Tensor:
    """Gradient ``(C, 1, *K)`` of a 2-D kernel between maps ``(T, B, H, W, C)``."""
    channels = x.shape[-1]
    x, grad = (t.flatten(0, 1).movedim(-1, 1) for t in (x, grad))
    return torch.ops.aten.convolution_backward(
        grad, x, x.new_empty(channels, 1, *sides), None, [1, 1], [side // 2 for side in sides], [1, 1], False, [0, 0],
        channels, [False, True, False])[1]
