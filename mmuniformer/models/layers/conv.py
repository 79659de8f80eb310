"""Convolutions with PyTorch's parameters that read and write channels-last maps ``(B, *S, C)``."""
from torch import Tensor, nn

from mmuniformer.ops import convolve, depthwise_convolve, pointwise


class _Convolution:
    """Mixed into ``nn.Conv2d`` / ``nn.Conv3d``: same arguments, parameters and initial values, other layout."""
    #: Whether a GELU is part of it, see :mod:`mmuniformer.models.deploy`.
    gelu = False

    def forward(self, x: Tensor) -> Tensor:
        return convolve(x, self.weight, self.bias, self.stride, self.padding, self.gelu)


class Conv2d(_Convolution, nn.Conv2d):
    """A convolution of maps ``(B, H, W, C)``."""


class Conv3d(_Convolution, nn.Conv3d):
    """A convolution of maps ``(B, T, H, W, C)``."""


class _Depthwise:

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_convolve(x, self.weight, self.bias)


class _Depthwise2d(_Depthwise, nn.Conv2d):
    pass


class _Depthwise3d(_Depthwise, nn.Conv3d):
    pass


class _PositionEmbed:
    """Mixed into a depthwise convolution: adds to a map what the convolution makes of it (arXiv 2201.09450, Eq. 1)."""
    #: Whether the kernel's centre already holds the identity, see :mod:`mmuniformer.models.deploy`.
    holds_identity = False

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_convolve(x, self.weight, self.bias, add_input=not self.holds_identity)


class _PositionEmbed2d(_PositionEmbed, nn.Conv2d):
    pass


class _PositionEmbed3d(_PositionEmbed, nn.Conv3d):
    pass


class Pointwise:
    """Mixed into a 1x1 convolution: the Linear over channels that it is."""

    def forward(self, x: Tensor) -> Tensor:
        return pointwise(x, self.weight, self.bias)


class _Pointwise2d(Pointwise, nn.Conv2d):
    pass


class _Pointwise3d(Pointwise, nn.Conv3d):
    pass


def conv(ndim: int, *args, **kwargs) -> nn.Module:
    """A convolution over ``ndim`` (2 or 3) dimensions, with the arguments of ``nn.Conv2d`` up to the padding."""
    return (Conv2d if ndim == 2 else Conv3d)(*args, **kwargs)


def depthwise(ndim: int, dim: int, kernel_size: int) -> nn.Module:
    """A convolution of each of ``dim`` channels by itself that keeps the size of the map (zeros around it)."""
    return (_Depthwise2d if ndim == 2 else _Depthwise3d)(
        dim, dim, kernel_size, padding=kernel_size // 2, groups=dim)


def position_embedding(ndim: int, dim: int) -> nn.Module:
    """The dynamic position embedding: a depthwise 3x3(x3) convolution and its input."""
    return (_PositionEmbed2d if ndim == 2 else _PositionEmbed3d)(dim, dim, 3, padding=1, groups=dim)


def pointwise_conv(ndim: int, in_dim: int, out_dim: int) -> nn.Module:
    """A Linear over channels whose weight has the shape of a 1x1(x1) convolution's, as the release keeps it."""
    return (_Pointwise2d if ndim == 2 else _Pointwise3d)(in_dim, out_dim, 1)
