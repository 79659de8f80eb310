"""Mix-token: CutMix of tokens (arXiv 2104.10858, Sec. 3.3)."""
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from mmpretrain.models.utils.batch_augments import CutMix
from torch import Tensor, nn


class MixToken:
    """A box of each image's tokens is taken from another image of the batch, the one as far from its end.

    Tokens are mixed after the patch embedding, so that none sees two images. The box is one of whole tokens of the last
    stage, so that their labels can be mixed with it.

    Args:
        alpha: Of the distribution Beta(alpha, alpha) of the share that is kept. Defaults to 1.
    """

    def __init__(self, alpha: float = 1.):
        self.cutmix = CutMix(alpha=float(alpha))

    def draw(self, image_size: tuple[int, int], grid: tuple[int, int], device: torch.device) -> Tensor:
        """Draw which tokens come from the other image.

        Args:
            image_size: Height and width in pixels.
            grid: Rows and columns of tokens.
            device: Where the answer is wanted.

        Returns:
            Boolean tensor of shape ``grid``.
        """
        share = np.random.beta(self.cutmix.alpha, self.cutmix.alpha)
        box = np.array(self.cutmix.rand_bbox(image_size, share)).reshape(2, 2)
        tokens_a_pixel = np.array(grid)[:, None] / np.array(image_size)[:, None]
        (top, bottom), (left, right) = (box * tokens_a_pixel).round().astype(int)
        other = torch.zeros(grid, dtype=torch.bool)
        other[top:bottom, left:right] = True
        return other.to(device)

    @contextmanager
    def mixing(self, patch_embed: nn.Module, other: Tensor) -> Iterator[None]:
        """While this lasts, mix what ``patch_embed`` gives, maps of shape ``(B, H, W, C)``."""

        def hook(module: nn.Module, inputs: tuple, x: Tensor) -> Tensor:
            mask = F.interpolate(other[None, None].float(), size=x.shape[1:3]).bool()
            return swapped(x, mask[0, ..., None])

        handle = patch_embed.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()


def swapped(x: Tensor, other: Tensor) -> Tensor:
    """A batch with values of the partner, the sample as far from its end, where ``other`` (broadcast) is true."""
    return torch.where(other, x.flip(0), x)
