"""Image kernels as video kernels."""
import torch
from torch import Tensor

#: ``mean`` is the official default; ``center`` is MMAction2's and the official ``center`` option.
MODES = ('mean', 'center')


def inflate(weight: Tensor, length: int, mode: str) -> Tensor:
    """Give a 2-D convolution kernel a time axis (`I3D <https://arxiv.org/abs/1705.07750>`_, Sec. 2).

    On a video of one repeated frame, away from its ends, ``mean`` keeps the convolution's output as it was on the
    image; ``center`` does so for any video frame by frame.

    Args:
        weight: Kernel of shape ``(O, I, kH, kW)``.
        length: Frames of the new kernel.
        mode: ``'mean'``: repeated over time and divided by the length; ``'center'``: in the middle frame, 0 elsewhere.

    Returns:
        Kernel of shape ``(O, I, length, kH, kW)``.
    """
    check_mode(mode)
    if mode == 'mean':
        return weight.unsqueeze(2).repeat(1, 1, length, 1, 1) / length
    inflated = weight.new_zeros(*weight.shape[:2], length, *weight.shape[2:])
    inflated[:, :, length // 2] = weight
    return inflated


def inflates_to(image: torch.Size, video: torch.Size) -> bool:
    """Whether a kernel of the first shape becomes one of the second by :func:`inflate`."""
    return len(image) == 4 and len(video) == 5 and image == video[:2] + video[3:]


def check_mode(mode: str) -> None:
    """Raise ValueError unless this is a way of inflating."""
    if mode not in MODES:
        raise ValueError(f'inflation must be one of {", ".join(map(repr, MODES))}, got {mode!r}')
