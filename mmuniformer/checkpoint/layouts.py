"""The ways checkpoints are laid out, and the one the rest of this package works on."""
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .errors import CheckpointError

#: Keys under which files keep their state dict. Averaged weights come first where a file holds both, as in timm.
WRAPPERS = ('state_dict_ema', 'model_ema', 'state_dict', 'model_state', 'model')
#: First parts of the names of a backbone's tensors.
BACKBONE = re.compile(r'(patch_embed[1-4]|blocks[1-4]|norm[1-4]?|norm_cls|cls_token|cls_upsample|deployed)(\.|$)')
#: Two names that, under a common prefix, only a UniFormer has; PVT and others have one of them.
LANDMARKS = re.compile(r'^(.*?)(patch_embed1\.proj\.|blocks1\.0\.pos_embed\.)')
#: Who writes what beside `backbone.`; the first that fits counts.
HEADS = (
    (r'cls_head\.', 'MMAction2'),
    (r'keypoint_head\.|head\.(deconv_layers|final_layer)\.', 'MMPose'),
    (r'decode_head\.', 'MMSegmentation'),
    (r'(roi_head|rpn_head|bbox_head)\.', 'MMDetection'),
    (r'head\.', 'MMPretrain'),
)


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a file, sorted.

    Attributes:
        layout: What kind of file it was, in words.
        backbone: The backbone's tensors under the official release's names.
        heads: All other tensors under the names they had, without `module.`.
    """
    layout: str
    backbone: dict[str, Tensor]
    heads: dict[str, Tensor]

    @property
    def is_deployed(self) -> bool:
        """Whether the weights are folded for inference."""
        return 'deployed' in self.backbone


def sort_out(content: Any) -> Checkpoint:
    """Recognise what a checkpoint file held.

    Raises:
        CheckpointError: When there are no weights of a UniFormer in it; says what is.
    """
    state, wrapper = unwrap(content)
    state = _without_module(state)
    prefix = _backbone_prefix(state)
    if prefix is None:
        raise CheckpointError(f'no weights of a UniFormer: {_wrapped("it holds a state dict", wrapper)} whose names '
                              f'begin with {_beginnings(state)}, and none is like `patch_embed1.proj.weight`. '
                              'It belongs to another network')
    backbone, heads = {}, {}
    for name, tensor in state.items():
        inner = name[len(prefix):] if name.startswith(prefix) else ''
        if BACKBONE.match(inner):
            backbone[inner] = tensor
        else:
            heads[name] = tensor
    return Checkpoint(_wrapped(_family(prefix, backbone, heads), wrapper), backbone, heads)


def unwrap(content: Any) -> tuple[dict[str, Tensor], str | None]:
    """The state dict in a file's content, and the key it was kept under (None: the content itself)."""
    if not isinstance(content, Mapping):
        raise CheckpointError(f'no weights: it holds a {type(content).__name__}, not a state dict')
    for key in WRAPPERS:
        if isinstance(content.get(key), Mapping) and _tensors(content[key]):
            return _tensors(content[key]), key
    if _tensors(content):
        return _tensors(content), None
    keys = ', '.join(map(str, list(content)[:8])) or 'there are none'
    raise CheckpointError(f'no weights: none of its keys ({keys}) is a tensor or one of {", ".join(WRAPPERS)}')


def _tensors(state: Mapping) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _without_module(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the prefix (or prefixes) of DistributedDataParallel."""
    while all(name.startswith('module.') for name in state):
        state = {name[len('module.'):]: tensor for name, tensor in state.items()}
    return state


def _backbone_prefix(state: dict[str, Tensor]) -> str | None:
    found: dict[str, set] = {}
    for name in state:
        match = LANDMARKS.match(name)
        if match:
            found.setdefault(match[1], set()).add(match[2])
    # A teacher or a copy beside the model would have a longer one.
    return min((prefix for prefix, marks in found.items() if len(marks) == 2), key=len, default=None)


def _family(prefix: str, backbone: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> str:
    if prefix == 'backbone.':
        for pattern, family in HEADS:
            if any(re.match(pattern, name) for name in heads):
                return family
        return 'OpenMMLab'
    if prefix:
        return f'backbone under `{prefix}`'
    if 'aux_head.weight' in heads:
        return 'official token labeling'
    return 'official video' if backbone['blocks1.0.pos_embed.weight'].ndim == 5 else 'official image'


def _wrapped(what: str, wrapper: str | None) -> str:
    return f'{what} under `{wrapper}`' if wrapper else f'{what}, bare'


def _beginnings(state: Mapping[str, Tensor]) -> str:
    return ', '.join(f'`{first}`' for first in list(dict.fromkeys(name.split('.')[0] for name in state))[:8])
