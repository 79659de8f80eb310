"""Grad-CAM: which places of a stage speak for a class."""
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mmuniformer.apis import PredictError

from .inputs import checked_stages, stage_map


def scores_of(model: nn.Module) -> Callable[[Tensor], Tensor]:
    """The function from one normalised input to the scores of a classifier of MMPretrain or MMAction2.

    Raises:
        PredictError: The model is no classifier.
    """
    names = {cls.__name__ for cls in type(model).__mro__}
    if not names & {'ImageClassifier', 'BaseRecognizer'}:
        raise PredictError(f'Grad-CAM asks what speaks for a class, and {type(model).__name__} is no classifier of '
                           'images or clips: give the config of one')
    head = model.cls_head if 'BaseRecognizer' in names else model.head

    def scores(x: Tensor) -> Tensor:
        features = model.backbone(x)
        return head(model.neck(features) if model.with_neck else features)

    return scores


def grad_cam(scores: Callable[[Tensor], Tensor], backbone: nn.Module, x: Tensor, stages: Sequence[int],
             label: int | None = None) -> tuple[list[Tensor], int, float]:
    """Grad-CAM (arXiv 1610.02391) at the last block of stages, local (1, 2) and global (3, 4).

    Args:
        scores: Maps ``x`` to scores ``(1, classes)`` through the backbone, in evaluation mode.
        backbone: The backbone.
        x: One normalised image ``(1, 3, H, W)`` or clip ``(1, 3, T, H, W)``.
        stages: Stages, 1 to 4.
        label: The class from 0. Defaults to the one of the highest score.

    Returns:
        A map ``(h, w)`` or ``(t, h, w)`` of 0 to 1 for each stage, the class, and its probability.

    Raises:
        PredictError: For a stage or class that is not there.
    """
    kept = {}
    handles = [blocks[-1].register_forward_hook(
        lambda _, __, output, stage=stage: kept.update({stage: stage_map(output)}))
        for stage, blocks in zip(stages, checked_stages(backbone, stages))]
    try:
        with torch.enable_grad():
            result = scores(x.detach().requires_grad_())[0]
            label = int(result.argmax()) if label is None else label
            if not 0 <= label < len(result):
                raise PredictError(f'the model has classes 0 to {len(result) - 1}, got {label}')
            gradients = torch.autograd.grad(result[label], [kept[stage] for stage in stages])
    finally:
        for handle in handles:
            handle.remove()
    maps = []
    for stage, gradient in zip(stages, gradients):
        weight = gradient[0].flatten(0, -2).mean(0)  # maps are channels-last
        cam = (kept[stage].detach()[0] @ weight).relu()
        maps.append(cam / cam.max().clamp_min(torch.finfo(cam.dtype).tiny))
    return maps, label, float(result.detach().softmax(0)[label])
