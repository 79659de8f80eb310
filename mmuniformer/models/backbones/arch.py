"""The named members of the family and how a config's ``arch`` becomes one of them."""
from dataclasses import dataclass, fields, replace
from typing import Mapping, Optional, Tuple, Union


@dataclass(frozen=True)
class Arch:
    """Size of a network.

    Attributes:
        depths: Blocks of each of the four stages.
        embed_dims: Channels of each stage.
        head_dim: Channels of one attention head in stages 3 and 4. It leaves no trace in the parameters' shapes.
        mlp_ratio: Hidden channels of the feed-forward network over the stage's channels.
        conv_stem: Overlapping 3x3 convolutions (with BN) as patch embeddings instead of one non-overlapping convolution
            (with LN).
        layer_scale: Initial value of the learned scale of each residual branch of an attention block; None for no scale.
    """
    depths: Tuple[int, int, int, int]
    embed_dims: Tuple[int, int, int, int]
    head_dim: int = 64
    mlp_ratio: float = 4
    conv_stem: bool = False
    layer_scale: Optional[float] = None

    def __post_init__(self):
        for name in ('depths', 'embed_dims'):
            value = tuple(getattr(self, name))
            if len(value) != 4 or not all(isinstance(n, int) and n > 0 for n in value):
                raise ValueError(f'arch: `{name}` must be four positive integers, one a stage, got {value}')
            object.__setattr__(self, name, value)
        for dim in self.embed_dims[2:]:
            if self.head_dim <= 0 or dim % self.head_dim:
                raise ValueError(f'arch: `embed_dims` of stages 3 and 4 must be multiples of head_dim={self.head_dim}, '
                                 f'got {self.embed_dims[2:]}')

    def with_(self, **changes) -> 'Arch':
        """A copy with some attributes changed."""
        return replace(self, **changes)


#: Paper (arXiv 2201.09450), Table 3; ``small_plus`` is its S-dagger, in the head width of its second release.
ARCHS = {
    'small': Arch(depths=(3, 4, 8, 3), embed_dims=(64, 128, 320, 512)),
    'small_plus': Arch(depths=(3, 5, 9, 3), embed_dims=(64, 128, 320, 512), conv_stem=True),
    'base': Arch(depths=(5, 8, 20, 7), embed_dims=(64, 128, 320, 512)),
    'large': Arch(depths=(5, 10, 24, 7), embed_dims=(128, 192, 448, 640), layer_scale=1e-6),
}


def resolve(arch: Union[str, Mapping, Arch]) -> Arch:
    """The size that a config's ``arch`` means.

    Args:
        arch: A name of :data:`ARCHS`, or a mapping with at least ``depths`` and ``embed_dims`` and any other attribute
            of :class:`Arch`.

    Raises:
        ValueError: For an unknown name, missing or unknown keys, or sizes that do not fit together.
    """
    if isinstance(arch, Arch):
        return arch
    if isinstance(arch, str):
        if arch not in ARCHS:
            raise ValueError(f'unknown arch {arch!r}: choose one of {", ".join(ARCHS)}, or give a dict of '
                             f'{", ".join(f.name for f in fields(Arch))}')
        return ARCHS[arch]
    known = {field.name for field in fields(Arch)}
    missing, unknown = {'depths', 'embed_dims'} - set(arch), set(arch) - known
    if missing or unknown:
        raise ValueError(f'arch: a dict needs `depths` and `embed_dims` and may hold {", ".join(sorted(known))}; '
                         f'missing: {sorted(missing) or "none"}, unknown: {sorted(unknown) or "none"}')
    return Arch(**arch)
