"""Feature maps as colours."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .inputs import checked_stages, stage_map


@torch.no_grad()
def features_of(backbone: nn.Module, x: Tensor, stages: Sequence[int]) -> list[Tensor]:
    """The map ``(*S, C)`` of one input after the last block of each of some stages (counted from 1).

    Raises:
        PredictError: One of the stages is not there.
    """
    kept = {}
    handles = [blocks[-1].register_forward_hook(
        lambda _, __, output, stage=stage: kept.update({stage: stage_map(output)[0]}))
        for stage, blocks in zip(stages, checked_stages(backbone, stages))]
    try:
        backbone(x)
    finally:
        for handle in handles:
            handle.remove()
    return [kept[stage] for stage in stages]


def principal_colors(features: Tensor) -> Tensor:
    """The three directions in which the tokens of a map differ most, as red, green and blue.

    Args:
        features: ``(*S, C)``, at least 3 channels.

    Returns:
        ``(*S, 3)`` of 0 to 1.
    """
    tokens = features.flatten(0, -2).double()
    tokens = tokens - tokens.mean(0)
    directions = torch.linalg.eigh(tokens.T @ tokens).eigenvectors[:, -3:].flip(1)
    # An eigenvector's sign is arbitrary: the largest entry is made positive, so that the same map has the same colours.
    directions = directions * directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    colors = tokens @ directions
    low, high = colors.min(0).values, colors.max(0).values
    return ((colors - low) / (high - low).clamp_min(1e-12)).float().view(*features.shape[:-1], 3)
