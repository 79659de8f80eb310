"""What the official release and the frameworks call the same head.

The official detectors and segmentors were trained in MMDetection 2.x and MMSegmentation 0.x, whose heads have the names
of today's; only classifiers and pose estimators have others.
"""
from collections.abc import Iterable, Mapping

from torch import Tensor

#: Beginnings of names, official to framework's. The second classifiers are of token labeling and of the light models.
IMAGE = {'head.': 'head.fc.', 'aux_head.': 'head.fc_aux.', 'head_cls.': 'head.fc_token.'}
VIDEO = {'head.': 'cls_head.fc_cls.', 'head_cls.': 'cls_head.fc_token.'}
POSE = {'keypoint_head.': 'head.'}


def to_framework(name: str, beginnings: Mapping[str, str]) -> str | None:
    """The framework's name for an official one; None if it has none."""
    return next((new + name[len(old):] for old, new in beginnings.items() if name.startswith(old)), None)


def to_official(name: str, beginnings: Mapping[str, str]) -> str | None:
    """The official name for a framework's; None if there is none."""
    return to_framework(name, {new: old for old, new in beginnings.items()})


def as_in(model: Iterable[str], heads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a checkpoint's heads the names that a framework's model has.

    Args:
        model: Names of the model's parameters outside its backbone.
        heads: The heads, official or of any framework; those that the model has no name for keep theirs.
    """
    names = set(model)
    renamed = {}
    for name, tensor in heads.items():
        candidates = [name] + [to_framework(name, beginnings) for beginnings in _renamings(heads)]
        renamed[next((candidate for candidate in candidates if candidate in names), name)] = tensor
    return renamed


def _renamings(heads: Mapping[str, Tensor]) -> list[dict[str, str]]:
    if 'head.weight' in heads:
        return [IMAGE, VIDEO]
    if any(to_framework(name, POSE) for name in heads):
        return [POSE]
    if 'head.fc.weight' in heads:  # MMPretrain's into MMAction2's, and back
        return [{IMAGE[official]: VIDEO[official] for official in VIDEO}]
    if 'cls_head.fc_cls.weight' in heads:
        return [{VIDEO[official]: IMAGE[official] for official in VIDEO}]
    return []
