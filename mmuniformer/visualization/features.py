"""Feature maps as colours."""
import torch
from torch import Tensor


def principal_colors(features: Tensor) -> Tensor:
    """The three directions in which the tokens of a map differ most, as red, green and blue.

    Args:
        features: ``(C, h, w)`` or ``(C, t, h, w)``, at least 3 channels.

    Returns:
        ``(h, w, 3)`` or ``(t, h, w, 3)`` of 0 to 1.
    """
    tokens = features.flatten(1).T.double()
    tokens = tokens - tokens.mean(0)
    directions = torch.linalg.eigh(tokens.T @ tokens).eigenvectors[:, -3:].flip(1)
    # An eigenvector's sign is arbitrary: the largest entry is made positive, so that the same map has the same colours.
    directions = directions * directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    colors = tokens @ directions
    low, high = colors.min(0).values, colors.max(0).values
    colors = (colors - low) / (high - low).clamp_min(1e-12)
    return colors.float().view(*features.shape[1:], 3)
