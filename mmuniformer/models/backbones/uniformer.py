"""UniFormer for images."""
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from mmuniformer.registry import MODELS

from ..layers import GlobalBlock
from .base import BaseUniFormer

#: In a hybrid stage every fourth block is global (arXiv 2201.09450, Sec. 3.4).
HYBRID_PERIOD = 4
WINDOWED_STAGE = 2


@MODELS.register_module()
class UniFormer(BaseUniFormer):
    """UniFormer for image classification and dense prediction (`arXiv 2201.09450 <https://arxiv.org/abs/2201.09450>`_).

    Takes images of shape ``(B, in_channels, H, W)`` and returns a tuple of maps, one for each of ``out_indices``, of
    ``embed_dims`` channels and stride 4, 8, 16 and 32. Rows and columns of pixels past the last multiple of 32 are
    unseen by the last stage; heights and widths below 32 are an error (unless ``arch`` has a conv stem).

    Args:
        arch: ``'small'``, ``'small_plus'``, ``'base'``, ``'large'``, or a dict of ``depths``, ``embed_dims`` and any
            of ``head_dim`` (64), ``mlp_ratio`` (4), ``conv_stem`` (False), ``layer_scale`` (None).
        in_channels: Channels of the input. Defaults to 3.
        drop_rate: Dropout rate of the stem's output and the blocks' linear layers. Defaults to 0.
        attn_drop_rate: Dropout rate of the attention's affinities. Defaults to 0.
        drop_path_rate: Stochastic depth rate of the last block; it grows linearly from 0 at the first. Defaults to 0.
        out_indices: Stages (0 to 3) whose maps are returned. Stages after the last one are not built.
            Defaults to all four.
        out_norm: ``'LN'``: each map through a LayerNorm of its own (dense tasks); ``'BN'``: only the last stage's,
            through one BatchNorm (classification). Defaults to ``'LN'``.
        frozen_stages: Stages that are not trained: 0 for the stem, ``n`` for the first ``n`` stages, -1 for none.
            Defaults to -1.
        norm_eval: Whether BatchNorms keep their running statistics in training. Defaults to False.
        with_cp: How many of the first blocks of each stage are activation-checkpointed in training; True for all.
            Defaults to none.
        norm_cfg: Type of the BatchNorms, ``'BN'`` or ``'SyncBN'``. Defaults to BN.
        attention: Relation of stage 3: ``'global'``, ``'window'``, or ``'hybrid'`` (three windowed blocks, then a
            global one). Defaults to ``'global'``.
        window_size: Side of the windows in tokens of stage 3 (16 pixels each). Defaults to 14.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` for weights, see :func:`mmuniformer.checkpoint.load`.
        deploy: Whether to build the form that :meth:`switch_to_deploy` makes, to load a checkpoint of it. Defaults to
            False.

    Raises:
        ValueError: When an argument is not one of the above.

    Examples:
        >>> import torch
        >>> from mmuniformer.models import UniFormer
        >>> maps = UniFormer('small', attention='hybrid')(torch.rand(1, 3, 64, 96))
        >>> [tuple(m.shape) for m in maps]
        [(1, 64, 16, 24), (1, 128, 8, 12), (1, 320, 4, 6), (1, 512, 2, 3)]
    """
    ndim = 2

    def __init__(self,
                 arch: str | Mapping = 'small',
                 in_channels: int = 3,
                 drop_rate: float = 0.,
                 attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 out_norm: str = 'LN',
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool | Sequence[int] = (0, 0, 0, 0),
                 norm_cfg: Mapping = dict(type='BN'),
                 attention: str = 'global',
                 window_size: int = 14,
                 init_cfg: Mapping | None = None,
                 deploy: bool = False):
        if attention not in ('global', 'window', 'hybrid'):
            raise ValueError(f"attention must be 'global', 'window' or 'hybrid', got {attention!r}")
        if attention != 'global' and window_size < 1:
            raise ValueError(f'window_size must be at least 1 token, got {window_size}')
        self._attention = attention
        self._window_size = window_size
        super().__init__(arch, in_channels, drop_rate, attn_drop_rate, drop_path_rate, out_indices, out_norm,
                         frozen_stages, norm_eval, with_cp, norm_cfg, init_cfg, deploy)

    def build_embed(self, stage: int, in_dim: int, dim: int) -> nn.Module:
        return self._embed(stage, in_dim, dim)

    def build_global_block(self, stage: int, index: int, **kwargs) -> nn.Module:
        windowed = stage == WINDOWED_STAGE and (self._attention == 'window' or self._attention == 'hybrid' and
                                                (index + 1) % HYBRID_PERIOD != 0)
        return GlobalBlock(
            self.ndim,
            layer_scale=self.arch.layer_scale,
            window_size=self._window_size if windowed else 0,
            **kwargs)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            x: Images of shape ``(B, in_channels, H, W)``.

        Returns:
            Maps of shape ``(B, C, H / stride, W / stride)``, rounded down, one for each of ``out_indices``.
        """
        return self.forward_stages(x)[0]
