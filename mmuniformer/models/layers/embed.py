"""Patch embeddings: what stands before each stage and makes its map smaller."""
from collections.abc import Callable

from torch import Tensor, nn

from .conv import conv
from .norm import batch_norm


class PatchEmbed(nn.Module):
    """A strided convolution and a LayerNorm.

    Args:
        ndim: 2 for images, 3 for videos.
        in_dim: Channels in.
        dim: Channels out.
        patch: Side in pixels of the non-overlapping patches.
        temporal: Kernel and stride over time; frames are zero-padded by half the kernel. Videos only.
    """

    def __init__(self, ndim: int, in_dim: int, dim: int, patch: int, temporal: tuple[int, int] = (1, 1)):
        super().__init__()
        time_kernel, time_stride = temporal
        kernel, stride, padding = (patch, patch), (patch, patch), (0, 0)
        if ndim == 3:
            kernel, stride, padding = (time_kernel, *kernel), (time_stride, *stride), (time_kernel // 2, *padding)
        self.norm = nn.LayerNorm(dim)
        self.proj = conv(ndim, in_dim, dim, kernel, stride, padding)

    def forward(self, x: Tensor) -> Tensor:
        """Embed a map ``(B, *S, C)`` as a smaller one."""
        return self.norm(self.proj(x))


class ConvPatchEmbed(nn.Module):
    """Overlapping 3x3 convolutions of stride 2, each with a BatchNorm: the stem of the S-dagger model.

    Args:
        ndim: 2 for images, 3 for videos.
        dims: Channels in, between and out; one convolution from each to the next, GELU between two.
        norm_layer: What makes the BatchNorm of given channels.
        temporal: Kernel over time, and its stride in the last convolution. Videos only.
    """

    def __init__(self,
                 ndim: int,
                 dims: tuple[int, ...],
                 norm_layer: Callable[[int], nn.Module],
                 temporal: tuple[int, int] = (1, 1)):
        super().__init__()
        layers = []
        for i, (in_dim, dim) in enumerate(zip(dims, dims[1:])):
            kernel, stride, padding = (3, 3), (2, 2), (1, 1)
            if ndim == 3:
                kernel = (temporal[0], *kernel)
                stride = (temporal[1] if i == len(dims) - 2 else 1, *stride)
                padding = (temporal[0] // 2, *padding)
            layers += [nn.GELU()] * (i > 0)
            layers += [conv(ndim, in_dim, dim, kernel, stride, padding), norm_layer(dim)]
        self.proj = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Embed a map ``(B, *S, C)`` as a smaller one."""
        for layer in self.proj:
            x = batch_norm(layer, x) if isinstance(layer, nn.modules.batchnorm._BatchNorm) else layer(x)
        return x
