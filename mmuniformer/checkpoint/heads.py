"""What the official release and the frameworks call the same head.

The official detectors and segmentors were trained in MMDetection 2.x and MMSegmentation 0.x, whose heads have the names
of today's; only classifiers and pose estimators have others.
"""
from collections.abc import Iterable, Mapping

from torch import Tensor

#: (official, framework): patterns of names, `*` for the rest of it.
IMAGE = ('head.*', 'head.fc.*')
VIDEO = ('head.*', 'cls_head.fc_cls.*')
POSE = ('keypoint_head.*', 'head.*')


def rename(name: str, old: str, new: str) -> str:
    """The name with the pattern replaced; unchanged if it does not fit."""
    stem = old[:-1]
    return new[:-1] + name[len(stem):] if name.startswith(stem) else name


def as_in(model: Iterable[str], heads: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give a checkpoint's heads the names that a framework's model has.

    Args:
        model: Names of the model's parameters outside its backbone.
        heads: The heads, official or of any framework; those that the model has no name for keep theirs.
    """
    names = set(model)
    renamed = {}
    for name, tensor in heads.items():
        candidates = [name] + [rename(name, *pattern) for pattern in _patterns(heads)]
        renamed[next((candidate for candidate in candidates if candidate in names), name)] = tensor
    return renamed


def _patterns(heads: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    if 'head.weight' in heads:
        return [IMAGE, VIDEO]
    if any(name.startswith(POSE[0][:-1]) for name in heads):
        return [POSE]
    if 'head.fc.weight' in heads:  # MMPretrain's into MMAction2's, and back
        return [(IMAGE[1], VIDEO[1])]
    if 'cls_head.fc_cls.weight' in heads:
        return [(VIDEO[1], IMAGE[1])]
    return []
