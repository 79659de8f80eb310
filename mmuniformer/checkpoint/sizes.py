"""What the shapes of a backbone's tensors tell about the network."""
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields

from torch import Tensor

from .errors import CheckpointError


@dataclass(frozen=True)
class Sizes:
    """A network as far as its tensors show it: not the width of its heads, nor windows.

    Attributes:
        depths: Blocks of each stage; fewer than four numbers where later stages are not there.
        embed_dims: Channels of each of these stages.
        mlp_ratio: Hidden channels of the feed-forward network over the stage's channels.
        conv_stem: Whether patch embeddings are overlapping convolutions.
        layer_scale: Whether attention blocks scale their branches.
        light: Whether it has the light models' score token.
        ndim: 2 for images, 3 for videos.
        attention: ``'joint'`` or ``'divided'``, time apart from space.
        temporal_kernel: Frames the patch embeddings of stages 2 to 4 see; 1 for images.
        in_channels: Channels of the input.
    """
    depths: tuple[int, ...]
    embed_dims: tuple[int, ...]
    mlp_ratio: float
    conv_stem: bool
    layer_scale: bool
    light: bool
    ndim: int
    attention: str
    temporal_kernel: int
    in_channels: int

    def config(self, ndim: int, head_dim: int | None = None) -> str:
        """The backbone that fits, as a config would write it.

        Args:
            ndim: 2 or 3, of the backbone wanted: weights of images suit models for videos, too.
            head_dim: Channels of an attention head, if known.
        """
        from mmuniformer.models.backbones.arch import ARCHS, LIGHT_ARCHS
        names = [name for name, arch in (LIGHT_ARCHS if self.light else ARCHS).items() if self._fits(arch, head_dim)]
        arguments = [f"arch='{names[0]}'" if names else self._arch_dict(head_dim)]
        if self.in_channels != 3:
            arguments.append(f'in_channels={self.in_channels}')
        if self.attention != 'joint':
            arguments.append(f"attention='{self.attention}'")
        if self.temporal_kernel != 1:
            arguments.append(f'temporal_kernel={self.temporal_kernel}')
        name = f'UniFormer{"Light" if self.light else ""}{"3D" if max(self.ndim, ndim) == 3 else ""}'
        return f'{name} with {", ".join(arguments)}'

    def _arch_dict(self, head_dim: int | None) -> str:
        items = dict(depths=self.depths, embed_dims=self.embed_dims, head_dim=head_dim or 64,
                     mlp_ratio=self.mlp_ratio, conv_stem=self.conv_stem, layer_scale=1e-6 if self.layer_scale else None)
        defaults = dict(head_dim=64, mlp_ratio=4, conv_stem=False, layer_scale=None)
        given = {key: value for key, value in items.items() if key not in defaults or value != defaults[key]}
        return f'arch=dict({", ".join(f"{key}={value}" for key, value in given.items())})'

    def _fits(self, arch, head_dim: int | None) -> bool:
        return head_dim in (None, arch.head_dim) and (
            self.depths, self.embed_dims, self.mlp_ratio, self.conv_stem, self.layer_scale) == (
                arch.depths, arch.embed_dims, arch.mlp_ratio, arch.conv_stem, arch.layer_scale is not None)

    def differences(self, model: 'Sizes') -> list[str]:
        """What sets a checkpoint of these sizes apart from a model, over the stages that the model has.

        Weights of images suit models for videos, and joint attention suits divided attention, which starts from it.
        Light models for videos may start a layer scale on weights of images without one, as the release's recipes do.
        """
        stages = len(model.depths)
        found = []
        for field in fields(self):
            name, mine, theirs = field.name, getattr(self, field.name), getattr(model, field.name)
            if name in ('depths', 'embed_dims'):
                mine = mine[:stages]
            if name == 'ndim' and mine <= theirs or name == 'attention' and mine == 'joint':
                continue
            if name == 'temporal_kernel' and self.ndim == 2:
                continue
            if name == 'layer_scale' and theirs and self.light and self.ndim < model.ndim:
                continue
            if name in ('layer_scale', 'light', 'attention') and stages < 3:  # shows in later stages only
                continue
            if mine != theirs:
                found.append(f'{name}: {mine} in the checkpoint, {theirs} in the model')
        return found


def measure(state: Mapping[str, Tensor]) -> Sizes:
    """Read off the sizes of a backbone from its state dict, official names.

    Raises:
        CheckpointError: When tensors are missing from the first block of a stage, so that its sizes don't show.
    """
    try:
        return _measure(state)
    except KeyError as error:
        raise CheckpointError(f'the weights are incomplete: there is no {error.args[0]!r}') from error


def _measure(state: Mapping[str, Tensor]) -> Sizes:
    depths = []
    for stage in (1, 2, 3, 4):
        indices = {int(match[1]) for name in state if (match := re.match(rf'blocks{stage}\.(\d+)\.', name))}
        if not indices:
            break
        depths.append(max(indices) + 1)
    position = [state[f'blocks{stage + 1}.0.pos_embed.weight'] for stage in range(len(depths))]
    conv_stem = 'patch_embed1.proj.0.weight' in state
    stem = state['patch_embed1.proj.0.weight' if conv_stem else 'patch_embed1.proj.weight']
    merge = state.get('patch_embed2.proj.weight', state.get('patch_embed2.proj.0.weight'))
    ndim = position[0].ndim - 2
    return Sizes(
        depths=tuple(depths),
        embed_dims=tuple(weight.shape[0] for weight in position),
        mlp_ratio=state['blocks1.0.mlp.fc1.weight'].shape[0] / position[0].shape[0],
        conv_stem=conv_stem,
        layer_scale='blocks3.0.gamma_1' in state,
        light='cls_token' in state,
        ndim=ndim,
        attention='divided' if 'blocks3.0.t_attn.qkv.weight' in state else 'joint',
        temporal_kernel=merge.shape[2] if ndim == 3 and merge is not None else 1,
        in_channels=stem.shape[1])
