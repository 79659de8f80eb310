"""Where in a model its parameters and operations are: stages of a UniFormer, and whatever stands around it."""
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from .complexity import Complexity

STAGES = range(1, 5)


@dataclass(frozen=True)
class Part:
    """One stage, or one other child of the model.

    Attributes:
        name: ``'stage 1'`` to ``'stage 4'``, or the child's name (``'neck'``, ``'cls_head'``).
        params: Number of its parameters.
        kinds: Its operations by kind, see :data:`mmuniformer.analysis.KINDS`.
    """
    name: str
    params: int
    kinds: Mapping[str, int]

    @property
    def flops(self) -> int:
        """Its operations, a multiply-add as one."""
        return sum(self.kinds.values())


def find_backbone(model: nn.Module) -> str:
    """The name within a model of its UniFormer of any kind; ``''`` for the model itself.

    Raises:
        ValueError: When there is none.
    """
    for name, module in model.named_modules():
        if hasattr(module, 'patch_embed1') and hasattr(module, 'blocks1'):
            return name
    raise ValueError(f'{type(model).__name__} has no UniFormer in it, so it has no stages to count')


def by_stage(model: nn.Module, complexity: Complexity) -> list[Part]:
    """Split what was counted into stages and the model's other parts; the parts sum to the whole.

    A stage is its patch embedding, its blocks and the norm of its output; for a class token what makes it wider for the
    stage. A part that no child's call accounts for (products in a model's own ``forward``) is named ``'rest'``.

    Args:
        model: The model.
        complexity: What :func:`mmuniformer.analysis.count` found for it.

    Raises:
        ValueError: When there is no UniFormer in the model.
    """
    backbone = find_backbone(model)
    prefix = f'{backbone}.' if backbone else ''
    children = {name for name, _ in model.get_submodule(backbone).named_children()}
    last = max(stage for stage in STAGES if f'blocks{stage}' in children)

    groups = {}
    for stage in STAGES[:last]:
        names = [f'patch_embed{stage}', f'blocks{stage}', f'norm{stage}'] + ['norm', 'cls_upsample'] * (stage == last)
        groups[f'stage {stage}'] = [prefix + name for name in names if name in children]
    if backbone:
        groups.update({name: [name] for name, _ in model.named_children() if not f'{backbone}.'.startswith(f'{name}.')})

    parts = [_part(name, members, model, complexity) for name, members in groups.items()]
    parts = [part for part in parts if part.params or part.flops]
    rest = Counter(complexity.kinds)
    for part in parts:
        rest.subtract(part.kinds)
    rest = Part('rest', complexity.params - sum(part.params for part in parts), +rest)
    return parts + [rest] * bool(rest.params or rest.flops)


def _part(name: str, members: list[str], model: nn.Module, complexity: Complexity) -> Part:
    kinds = Counter()
    for member in members:
        kinds.update(complexity.modules.get(member, {}))
    params = sum(parameter.numel() for member in members for parameter in model.get_submodule(member).parameters())
    return Part(name, params, kinds)
