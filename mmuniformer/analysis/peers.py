"""What a UniFormer is timed against."""
from collections.abc import Callable

import torch
from torch import nn

from mmuniformer.models.backbones.base import BaseUniFormer

from .plain import plain

#: Epsilon of the blocks' LayerNorms here and in the release; MMAction2 has PyTorch's.
BLOCK_NORM_EPS = 1e-6


def mmaction_uniformer(backbone: BaseUniFormer) -> nn.Module:
    """MMAction2's own UniFormer with the weights of a video backbone; the same network.

    Raises:
        ValueError: Where MMAction2 has no such network: images, light models, divided attention, layer scale.
    """
    arch = backbone.arch
    if backbone.ndim != 3 or backbone.light or arch.layer_scale is not None or backbone.out_norm != 'BN':
        raise ValueError("MMAction2's UniFormer is for videos, without layer scale: take --peer plain")
    from mmaction.models.backbones import UniFormer
    peer = UniFormer(depth=list(arch.depths), embed_dim=list(arch.embed_dims), head_dim=arch.head_dim,
                     mlp_ratio=arch.mlp_ratio, pretrained2d=False, drop_path_rate=0.)
    for name, module in peer.named_modules():
        if isinstance(module, nn.LayerNorm) and name.startswith('blocks'):
            module.eps = BLOCK_NORM_EPS
    peer.load_state_dict(backbone.state_dict(), strict=True)
    return peer


def swin_tiny(backbone: BaseUniFormer) -> nn.Module:
    """Swin-T as MMDetection's configs have it, without stochastic depth."""
    _needs(backbone, 2, 'swin-t')
    from mmdet.models.backbones import SwinTransformer
    return SwinTransformer(embed_dims=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window_size=7, mlp_ratio=4,
                           out_indices=(0, 1, 2, 3), drop_path_rate=0.)


def mvit_small(backbone: BaseUniFormer) -> nn.Module:
    """MViTv2-S as MMAction2's configs have it, without stochastic depth."""
    _needs(backbone, 3, 'mvit-s')
    from mmaction.models.backbones import MViT
    return MViT(arch='small', drop_path_rate=0.)


def video_swin_tiny(backbone: BaseUniFormer) -> nn.Module:
    """Video Swin-T as MMAction2's configs have it, without stochastic depth."""
    _needs(backbone, 3, 'video-swin-t')
    from mmaction.models.backbones import SwinTransformer3D
    return SwinTransformer3D(arch='tiny', pretrained=None, pretrained2d=False, patch_size=(2, 4, 4),
                             window_size=(8, 7, 7), mlp_ratio=4., qkv_bias=True, drop_path_rate=0., patch_norm=True)


def _needs(backbone: BaseUniFormer, ndim: int, name: str) -> None:
    if backbone.ndim != ndim:
        raise ValueError(f'{name} is for {"images" if ndim == 2 else "videos"}, this backbone for '
                         f'{"images" if backbone.ndim == 2 else "videos"}')


#: What makes each peer of a backbone.
PEERS: dict[str, Callable[[BaseUniFormer], nn.Module]] = {
    'plain': plain,
    'mmaction-uniformer': mmaction_uniformer,
    'swin-t': swin_tiny,
    'mvit-s': mvit_small,
    'video-swin-t': video_swin_tiny,
}
#: Those that compute the same maps from the same weights.
SAME_NETWORK = ('plain', 'mmaction-uniformer')


def largest_difference(ours, theirs) -> float:
    """Of two outputs (a map or several): the largest difference over the largest magnitude."""
    pairs = zip(*((output if isinstance(output, (tuple, list)) else (output, )) for output in (ours, theirs)))
    return max(((a.float() - b.float()).abs().max() / b.float().abs().max()).item() for a, b in pairs)


def as_peer(name: str, backbone: BaseUniFormer) -> nn.Module:
    """A peer by its name in :data:`PEERS`, in the backbone's mode and on its device."""
    device = next(backbone.parameters()).device
    with torch.no_grad():
        peer = PEERS[name](backbone).to(device)
    peer.train(backbone.training)  # of some of them this returns nothing
    return peer
