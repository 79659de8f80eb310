"""The named members of the family and how a config's ``arch`` becomes one of them."""
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace


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
        layer_scale: Initial value of the learned scale of each residual branch of an attention block (light models: of
            every block); None for no scale.
        keep_ratios: Light models only: the share of tokens that each block of stage 3 and of stage 4 keeps.
    """
    depths: tuple[int, int, int, int]
    embed_dims: tuple[int, int, int, int]
    head_dim: int = 64
    mlp_ratio: float = 4
    conv_stem: bool = False
    layer_scale: float | None = None
    keep_ratios: tuple[tuple[float, ...], tuple[float, ...]] | None = None

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
        if self.keep_ratios is not None:
            ratios = tuple(tuple(stage) for stage in self.keep_ratios)
            if tuple(map(len, ratios)) != self.depths[2:] or not all(0 < r <= 1 for stage in ratios for r in stage):
                raise ValueError(f'arch: `keep_ratios` must be two lists of {self.depths[2]} and {self.depths[3]} '
                                 f'shares over 0 and up to 1, one a block of stages 3 and 4, got {ratios}')
            if ratios[0][0] != 1:
                raise ValueError('arch: the first block of stage 3 scores the tokens, so its keep ratio must be 1, got '
                                 f'{ratios[0][0]}')
            object.__setattr__(self, 'keep_ratios', ratios)

    def with_(self, **changes) -> 'Arch':
        """A copy with some attributes changed."""
        return replace(self, **changes)


def default_keep_ratios(depths: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The release's: the first block of stage 3 keeps every token, every other block half of them."""
    return (1., ) + (0.5, ) * (depths[2] - 1), (0.5, ) * depths[3]


#: Paper (arXiv 2201.09450), Table 3; ``small_plus`` is its S-dagger, in the head width of its second release.
ARCHS = {
    'small': Arch(depths=(3, 4, 8, 3), embed_dims=(64, 128, 320, 512)),
    'small_plus': Arch(depths=(3, 5, 9, 3), embed_dims=(64, 128, 320, 512), conv_stem=True),
    'base': Arch(depths=(5, 8, 20, 7), embed_dims=(64, 128, 320, 512)),
    'large': Arch(depths=(5, 10, 24, 7), embed_dims=(128, 192, 448, 640), layer_scale=1e-6),
}


def _light(depths, embed_dims, head_dim) -> Arch:
    return Arch(depths, embed_dims, head_dim, 3, conv_stem=True, keep_ratios=default_keep_ratios(depths))


#: The light models, same paper, Sec. 3.5.
LIGHT_ARCHS = {
    'xxs': _light((2, 5, 8, 2), (56, 112, 224, 448), 28),
    'xs': _light((3, 5, 9, 3), (64, 128, 256, 512), 32),
}


def resolve(arch: str | Mapping | Arch, light: bool = False) -> Arch:
    """The size that a config's ``arch`` means.

    Args:
        arch: A name of :data:`ARCHS` (or :data:`LIGHT_ARCHS`), or a mapping with at least ``depths`` and ``embed_dims``
            and any other attribute of :class:`Arch`.
        light: Whether it is for a light model, which has ``keep_ratios``. Defaults to False.

    Raises:
        ValueError: For an unknown name, missing or unknown keys, or sizes that do not fit together.
    """
    names = LIGHT_ARCHS if light else ARCHS
    known = {field.name for field in fields(Arch)} - (set() if light else {'keep_ratios'})
    if isinstance(arch, str):
        if arch not in names:
            raise ValueError(f'unknown arch {arch!r}: choose one of {", ".join(names)}, or give a dict of '
                             f'{", ".join(sorted(known))}{_other_class(arch, light)}')
        return names[arch]
    if isinstance(arch, Arch):
        arch = {field.name: getattr(arch, field.name) for field in fields(Arch) if field.name in known}
    missing, unknown = {'depths', 'embed_dims'} - set(arch), set(arch) - known
    if missing or unknown:
        raise ValueError(f'arch: a dict needs `depths` and `embed_dims` and may hold {", ".join(sorted(known))}; '
                         f'missing: {sorted(missing) or "none"}, unknown: {sorted(unknown) or "none"}')
    resolved = Arch(**arch)
    if light and resolved.keep_ratios is None:
        return resolved.with_(keep_ratios=default_keep_ratios(resolved.depths))
    return resolved


def _other_class(name: str, light: bool) -> str:
    if name in (ARCHS if light else LIGHT_ARCHS):
        owners = 'UniFormer and UniFormer3D' if light else 'UniFormerLight and UniFormerLight3D'
        return f' ({name!r} is an arch of {owners})'
    return ''
