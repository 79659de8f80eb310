"""UniFormer for videos."""
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mmuniformer.registry import MODELS

from ..layers import DividedBlock, GlobalBlock
from .base import BaseUniFormer


@MODELS.register_module()
class UniFormer3D(BaseUniFormer):
    """UniFormer for video classification (`arXiv 2201.04676 <https://arxiv.org/abs/2201.04676>`_).

    Takes clips of shape ``(B, in_channels, T, H, W)``. The stem halves the frames (rounded up); height and width become
    1/4, 1/8, 1/16 and 1/32 of the input's. Sizes below 32 pixels are an error (unless ``arch`` has a conv stem).

    Args:
        arch: ``'small'``, ``'small_plus'``, ``'base'``, ``'large'``, or a dict of ``depths``, ``embed_dims`` and any
            of ``head_dim`` (64), ``mlp_ratio`` (4), ``conv_stem`` (False), ``layer_scale`` (None).
        in_channels: Channels of the input. Defaults to 3.
        drop_rate: Dropout rate of the stem's output and the blocks' linear layers. Defaults to 0.
        attn_drop_rate: Dropout rate of the attention's affinities. Defaults to 0.
        drop_path_rate: Stochastic depth rate of the last block; it grows linearly from 0 at the first. Defaults to 0.
        out_indices: Stages (0 to 3) whose maps are returned. Stages after the last one are not built.
            Defaults to the last.
        out_norm: ``'BN'``: the last stage's map through one BatchNorm; ``'LN'``: each map through a LayerNorm of its
            own. Defaults to ``'BN'``.
        frozen_stages: Stages that are not trained: 0 for the stem, ``n`` for the first ``n`` stages, -1 for none.
            Defaults to -1.
        norm_eval: Whether BatchNorms keep their running statistics in training. Defaults to False.
        with_cp: How many of the first blocks of each stage are activation-checkpointed in training; True for all.
            Defaults to none.
        norm_cfg: Type of the BatchNorms, ``'BN'`` or ``'SyncBN'``. Defaults to BN.
        attention: ``'joint'`` over space and time at once, or ``'divided'``: over time, then over space.
            Defaults to ``'joint'``.
        temporal_kernel: Frames that the patch embeddings of stages 2 to 4 see at once, 1 or 3 (the release's STD).
            Defaults to 1.
        inflation: How 2-D weights in ``init_cfg`` become 3-D: ``'mean'`` (repeated over time and divided by the
            length, the release's default) or ``'center'`` (in the middle frame, MMAction2's). Defaults to ``'mean'``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` for weights of images or videos, see
            :func:`mmuniformer.checkpoint.load`.
        deploy: Whether to build the form that :meth:`switch_to_deploy` makes, to load a checkpoint of it. Defaults to
            False.

    Raises:
        ValueError: When an argument is not one of the above.

    Examples:
        >>> import torch
        >>> from mmuniformer.models import UniFormer3D
        >>> tuple(UniFormer3D('small')(torch.rand(1, 3, 8, 64, 64)).shape)
        (1, 512, 4, 2, 2)
    """
    ndim = 3

    def __init__(self,
                 arch: str | Mapping = 'small',
                 in_channels: int = 3,
                 drop_rate: float = 0.,
                 attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (3, ),
                 out_norm: str = 'BN',
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool | Sequence[int] = (0, 0, 0, 0),
                 norm_cfg: Mapping = dict(type='BN3d'),
                 attention: str = 'joint',
                 temporal_kernel: int = 1,
                 inflation: str = 'mean',
                 init_cfg: Mapping | None = None,
                 deploy: bool = False):
        if attention not in ('joint', 'divided'):
            raise ValueError(f"attention must be 'joint' or 'divided', got {attention!r}")
        if temporal_kernel not in (1, 3):
            raise ValueError(f'temporal_kernel must be 1 or 3 frames, got {temporal_kernel}')
        if inflation not in ('mean', 'center'):
            raise ValueError(f"inflation must be 'mean' or 'center', got {inflation!r}")
        self._attention = attention
        self._temporal_kernel = temporal_kernel
        self.inflation = inflation
        super().__init__(arch, in_channels, drop_rate, attn_drop_rate, drop_path_rate, out_indices, out_norm,
                         frozen_stages, norm_eval, with_cp, norm_cfg, init_cfg, deploy)
        if attention == 'divided' and self.arch.layer_scale is not None:
            raise ValueError("attention='divided' has no layer scale: choose an arch without it, or attention='joint'")

    def build_embed(self, stage: int, in_dim: int, dim: int) -> nn.Module:
        # The stem sees three frames and takes every second (arXiv 2201.04676, Sec. 3.4).
        return self._embed(stage, in_dim, dim, (3, 2) if stage == 0 else (self._temporal_kernel, 1))

    def build_global_block(self, stage: int, index: int, **kwargs) -> nn.Module:
        if self._attention == 'divided':
            return DividedBlock(**kwargs)
        return GlobalBlock(self.ndim, layer_scale=self.arch.layer_scale, **kwargs)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            x: Clips of shape ``(B, in_channels, T, H, W)``.

        Returns:
            With one stage in ``out_indices``, its map of shape ``(B, C, T / 2, H / stride, W / stride)``, as
            MMAction2's recognizers and heads take it; with more, a tuple of maps.
        """
        maps, _ = self.forward_stages(x)
        return maps[0] if len(maps) == 1 else maps
