"""Whole official models, backbone and head, as OpenMMLab's frameworks name them, and back."""
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mmuniformer.version import __version__

from . import heads as names
from .errors import CheckpointError
from .heads import IMAGE, POSE, VIDEO
from .layouts import Checkpoint, sort_out

BACKBONE = 'backbone.'


@dataclass(frozen=True)
class Converted:
    """A checkpoint in another layout.

    Attributes:
        content: What to save.
        layout: Kind of the checkpoint it came from.
        kind: Kind of the checkpoint it is now.
        left_out: Tensors that have no name in it.
    """
    content: dict[str, Any]
    layout: str
    kind: str
    left_out: tuple[str, ...] = ()


def to_mm(content: Any) -> Converted:
    """Give a checkpoint the names of OpenMMLab's current frameworks.

    Image classifiers become models of MMPretrain (``LinearClsHead``, or with a second classifier the heads in
    :mod:`mmuniformer.models.heads`), video classifiers of MMAction2 (a head with ``fc_cls``), pose estimators of MMPose
    (``HeatmapHead``). Detectors and segmentors already have today's names.

    Args:
        content: What the checkpoint file held.

    Raises:
        CheckpointError: When there are no weights of a UniFormer in it.
    """
    checkpoint = sort_out(content)
    kind, beginnings = 'OpenMMLab, heads as they were', {}
    if _is_official_classifier(checkpoint):
        kind, beginnings = ('MMAction2', VIDEO) if _is_video(checkpoint) else ('MMPretrain', IMAGE)
    elif any(names.to_framework(name, POSE) for name in checkpoint.heads):
        kind, beginnings = 'MMPose', POSE
    heads = {names.to_framework(name, beginnings) or name: tensor for name, tensor in checkpoint.heads.items()}
    return Converted(_mm_file(content, checkpoint, heads), checkpoint.layout, kind)


def to_official(content: Any) -> Converted:
    """Give a checkpoint of OpenMMLab's frameworks the names of the official release, whose code loads it strictly.

    Args:
        content: What a checkpoint of MMPretrain, MMAction2, MMPose, MMDetection or MMSegmentation held.

    Raises:
        CheckpointError: When there are no weights of a UniFormer in it, or they are folded for inference.
    """
    checkpoint = sort_out(content)
    if checkpoint.is_deployed:
        raise CheckpointError('the checkpoint is deployed (folded for inference) and the official release has no such '
                              'form: convert the checkpoint it was made from')
    if _is_official_classifier(checkpoint):
        classifier = checkpoint.heads
    else:
        classifier = {official: tensor for name, tensor in checkpoint.heads.items()
                      if (official := _of_classifier(name))}
    if classifier or not checkpoint.heads:
        state = {**checkpoint.backbone, **classifier}
        left_out = tuple(name for name in checkpoint.heads if (_of_classifier(name) or name) not in classifier)
        if _is_video(checkpoint):
            return Converted(state, checkpoint.layout, 'official video', left_out)
        return Converted({'model': state}, checkpoint.layout, 'official image', left_out)

    heads, kind = checkpoint.heads, 'official detection or segmentation'
    if any(name.startswith(('head.deconv_layers.', 'head.final_layer.')) for name in heads):
        heads, kind = {names.to_official(name, POSE) or name: tensor for name, tensor in heads.items()}, 'official pose'
    return Converted(_mm_file(content, checkpoint, heads), checkpoint.layout, kind)


def _is_official_classifier(checkpoint: Checkpoint) -> bool:
    return checkpoint.layout.startswith('official')


def _is_video(checkpoint: Checkpoint) -> bool:
    return checkpoint.backbone['blocks1.0.pos_embed.weight'].ndim == 5


def _of_classifier(name: str) -> str | None:
    return names.to_official(name, IMAGE) or names.to_official(name, VIDEO)


def _mm_file(content: Any, checkpoint: Checkpoint, heads: dict[str, Tensor]) -> dict[str, Any]:
    """A file of the frameworks; class names and the like that the original kept in `meta` stay."""
    state = {BACKBONE + name: tensor for name, tensor in checkpoint.backbone.items()}
    meta = content.get('meta') if isinstance(content.get('meta'), Mapping) else {}
    return {'meta': {**meta, 'mmuniformer_version': __version__}, 'state_dict': {**state, **heads}}
