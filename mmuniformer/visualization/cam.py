"""Grad-CAM: which places of a stage speak for a class."""
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def grad_cam(model: Callable[[Tensor], Tensor], backbone: nn.Module, x: Tensor, stages: Sequence[int],
             label: int | None = None) -> tuple[list[Tensor], int, float]:
    """Grad-CAM (arXiv 1610.02391) at the last block of stages, local (1, 2) and global (3, 4).

    Args:
        model: Maps ``x`` to scores ``(1, classes)``, in evaluation mode.
        backbone: The backbone in it.
        x: One normalised image ``(1, 3, H, W)`` or clip ``(1, 3, T, H, W)``.
        stages: Stages, 1 to 4.
        label: The class; None for the one of the highest score.

    Returns:
        A map ``(h, w)`` or ``(t, h, w)`` of 0 to 1 for each stage, the class, and its probability.

    Raises:
        ValueError: For a stage or class that is not there.
    """
    missing = [stage for stage in stages if not hasattr(backbone, f'blocks{stage}')]
    if missing:
        raise ValueError(f'the backbone has no stage {missing[0]}: stages are 1 to {backbone.num_stages}')
    kept = {}

    def keep(stage):
        return lambda _, __, output: kept.update({stage: output[0] if isinstance(output, tuple) else output})

    handles = [getattr(backbone, f'blocks{stage}')[-1].register_forward_hook(keep(stage)) for stage in stages]
    try:
        with torch.enable_grad():
            scores = model(x.detach().requires_grad_())
            if label is None:
                label = int(scores[0].argmax())
            if not 0 <= label < scores.shape[1]:
                raise ValueError(f'the model has classes 0 to {scores.shape[1] - 1}; got {label}')
            gradients = torch.autograd.grad(scores[0, label], [kept[stage] for stage in stages])
    finally:
        for handle in handles:
            handle.remove()
    maps = []
    for stage, gradient in zip(stages, gradients):
        weight = gradient.flatten(1, -2).mean(1)  # maps are channels-last
        cam = (kept[stage].detach()[0] @ weight[0]).relu()
        maps.append(cam / cam.max().clamp_min(torch.finfo(cam.dtype).tiny))
    return maps, label, float(scores[0].softmax(0)[label])
