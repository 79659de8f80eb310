"""The same network computed plainly: what this package's speed and memory are measured against.

Maps are contiguous and channels-first, 1x1 convolutions are convolutions, attention writes its whole matrix, and tokens
are transposed to and from maps in every block: the way the papers' own code goes. Weights and results are the
backbone's.
"""
import copy
from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmuniformer.models.backbones.base import LOCAL_STAGES, BaseUniFormer
from mmuniformer.models.layers import Attention, ConvPatchEmbed, DividedBlock
from mmuniformer.models.layers.layer_scale import scaled


class Plain(nn.Module):
    """A backbone's network in plain form, with a copy of its weights.

    Args:
        backbone: Any of the family but with ``attention='divided'``, not deployed.

    Raises:
        ValueError: For a backbone that has no plain form here.
    """

    def __init__(self, backbone: BaseUniFormer):
        super().__init__()
        if backbone.is_deployed or any(isinstance(module, DividedBlock) for module in backbone.modules()):
            raise ValueError("there is no plain form of a deployed backbone, nor of attention='divided'")
        self.net = copy.deepcopy(backbone)
        # In attention blocks the position embedding happens outside, on the channels-first map.
        self.position = nn.ModuleList()
        for module in list(self.net.modules()):
            if isinstance(module, Attention):
                module._related = MethodType(_materialised, module)
        for stage in range(LOCAL_STAGES, self.net.num_stages):
            blocks = getattr(self.net, f'blocks{stage + 1}')
            self.position.append(nn.ModuleList(block.pos_embed for block in blocks))
            for block in blocks:
                block.pos_embed = nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps of the backbone's ``out_indices``, ``(B, C, *S)``."""
        net, outputs, state = self.net, [], None
        for stage in range(net.num_stages):
            x = _embed(getattr(net, f'patch_embed{stage + 1}'), x)
            if stage < LOCAL_STAGES:
                for block in getattr(net, f'blocks{stage + 1}'):
                    x = _local(block, x)
            elif net.light:
                x, state = self._hourglass(stage, x, state)
            else:
                for position, block in zip(self.position[stage - LOCAL_STAGES], getattr(net, f'blocks{stage + 1}')):
                    x = _to_map(block(_to_tokens(_position(position, x))))
            if stage in net.out_indices:
                outputs.append(self._output(x, stage))
        return tuple(outputs)

    def _hourglass(self, stage: int, x: Tensor, state: tuple | None) -> tuple[Tensor, tuple]:
        cls_token, score = self.net.start_tokens(stage, x, state)
        for position, block in zip(self.position[stage - LOCAL_STAGES], getattr(self.net, f'blocks{stage + 1}')):
            tokens, cls_token, score = block(_to_tokens(_position(position, x)), cls_token, score)
            x = _to_map(tokens)
        return x, (cls_token, score, (x.shape[0], *x.shape[2:]))

    def _output(self, x: Tensor, stage: int) -> Tensor:
        if self.net.out_norm == 'LN':
            return _to_map(getattr(self.net, f'norm{stage + 1}')(_to_tokens(x)))
        return self.net.norm(x) if stage == self.net.num_stages - 1 else x


def _materialised(self: Attention, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    affinity = ((q @ k.transpose(-2, -1)) * self.scale).softmax(-1)
    affinity = F.dropout(affinity, self.attn_drop, self.training)
    return self.proj_drop(self.proj((affinity @ v).transpose(1, 2).flatten(2)))


def _to_tokens(x: Tensor) -> Tensor:
    return x.movedim(1, -1)


def _to_map(x: Tensor) -> Tensor:
    return x.movedim(-1, 1).contiguous()


def _conv(layer: nn.Module, x: Tensor) -> Tensor:
    conv = F.conv3d if layer.weight.ndim == 5 else F.conv2d
    return conv(x, layer.weight, layer.bias, layer.stride, layer.padding, groups=layer.groups)


def _position(layer: nn.Module, x: Tensor) -> Tensor:
    return x + _conv(layer, x)


def _embed(embed: nn.Module, x: Tensor) -> Tensor:
    if not isinstance(embed, ConvPatchEmbed):
        return _to_map(embed.norm(_to_tokens(_conv(embed.proj, x))))
    for layer in embed.proj:
        x = _conv(layer, x) if hasattr(layer, 'kernel_size') else layer(x)
    return x


def _local(block: nn.Module, x: Tensor) -> Tensor:
    x = _position(block.pos_embed, x)
    branch = _conv(block.conv2, _conv(block.attn, _conv(block.conv1, block.norm1(x))))
    x = x + block.drop_path(_scaled(block, 'gamma_1', branch))
    fed = _conv(block.mlp.fc2, F.gelu(_conv(block.mlp.fc1, block.norm2(x))))
    return x + block.drop_path(_scaled(block, 'gamma_2', fed))


def _scaled(block: nn.Module, name: str, branch: Tensor) -> Tensor:
    return scaled(block, name, branch.movedim(1, -1)).movedim(-1, 1) if block.layer_scale else branch


def plain(backbone: BaseUniFormer) -> Plain:
    """:class:`Plain` of a backbone, in its mode and on its device."""
    with torch.no_grad():
        return Plain(backbone).train(backbone.training)
