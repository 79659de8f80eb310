"""The light (hourglass) UniFormer, for images and for videos."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmuniformer.registry import MODELS

from ..layers import HourglassBlock, exact, pool_score
from .base import LOCAL_STAGES, STAGES, BaseUniFormer


class BaseUniFormerLight(BaseUniFormer):
    """Hourglass blocks in stages 3 and 4, with a class token that scores the tokens (arXiv 2201.09450, Sec. 3.5).

    Class token and scores are handed from block to block as values, so copies of a model, threads and processes do not
    meet. The arguments are documented in the subclasses.
    """
    light = True

    def __init__(self, out_cls_token: bool, **kwargs):
        self.out_cls_token = out_cls_token
        super().__init__(**kwargs)

    def add_state(self) -> None:
        dims = self.arch.embed_dims
        if self.num_stages > LOCAL_STAGES:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, dims[2]))
        if self.num_stages > LOCAL_STAGES + 1:
            self.cls_upsample = nn.Linear(dims[2], dims[3])
        if self.out_cls_token:
            if self.num_stages < STAGES:
                raise ValueError('out_cls_token needs stage 4: put 3 into out_indices')
            self.norm_cls = nn.LayerNorm(dims[3])

    def _freeze(self) -> None:
        super()._freeze()
        if self.frozen_stages > LOCAL_STAGES and self.num_stages > LOCAL_STAGES:
            self.cls_token.requires_grad = False

    def _frozen_modules(self) -> list[nn.Module]:
        modules = super()._frozen_modules()
        if self.frozen_stages == STAGES and self.num_stages == STAGES:
            modules.append(self.cls_upsample)
        return modules

    def build_global_block(self, stage: int, index: int, **kwargs) -> nn.Module:
        return HourglassBlock(
            self.ndim,
            keep_ratio=self.arch.keep_ratios[stage - LOCAL_STAGES][index],
            layer_scale=self.arch.layer_scale,
            scale_recovery=self.ndim == 2,
            **kwargs)

    def _overlapping(self, stage: int) -> bool:
        return self.arch.conv_stem and stage == 0

    def _local_layer_scale(self) -> float | None:
        return self.arch.layer_scale

    def embed(self, stage: int, x: Tensor) -> Tensor:
        # The map of stage 3 is a sum of all its blocks', which float16 may not hold.
        return exact(self.patch_embed4, x) if stage > LOCAL_STAGES else super().embed(stage, x)

    def run_blocks(self, stage: int, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        if stage < LOCAL_STAGES:
            return super().run_blocks(stage, x, state)
        x = x.to(self.cls_token.dtype)  # another one under autocast only
        cls_token, score = self.start_tokens(stage, x, state)
        for index, block in enumerate(getattr(self, f'blocks{stage + 1}')):
            x, cls_token, score = self.run_block(stage, index, block, x, cls_token, score)
        return x, (cls_token, score, x.shape[:-1])

    def start_tokens(self, stage: int, x: Tensor, state: Any) -> tuple[Tensor, Tensor | None]:
        """Class token ``(B, 1, C)`` and scores ``(B, N)`` with which a stage starts; no scores yet in stage 3."""
        if stage == LOCAL_STAGES:
            return self.cls_token.expand(x.shape[0], -1, -1), None
        cls_token, score, shape = state
        return exact(self.cls_upsample, cls_token), pool_score(score, shape, self._pool)

    def _pool(self, score: Tensor) -> Tensor:
        """Mean over the 2x2 patches that the next embedding joins."""
        if self.ndim == 2:
            return F.avg_pool2d(score, 2)
        # Frame by frame: the gradient of avg_pool3d is not deterministic on CUDA.
        return F.avg_pool2d(score.flatten(1, 2), 2).unflatten(1, score.shape[1:3])

    def forward_with_cls_token(self, x: Tensor) -> tuple[Tensor, ...]:
        """The maps, and after them with ``out_cls_token`` the normalised class token ``(B, C)``."""
        maps, state = self.forward_stages(x)
        return (*maps, self.norm_cls(state[0][:, 0])) if self.out_cls_token else maps


@MODELS.register_module()
class UniFormerLight(BaseUniFormerLight):
    """Light UniFormer for images (`arXiv 2201.09450 <https://arxiv.org/abs/2201.09450>`_, Sec. 3.5).

    Takes images of shape ``(B, in_channels, H, W)``, 32 pixels and more a side, and returns a tuple of maps, one for
    each of ``out_indices``, of ``embed_dims`` channels and stride 4, 8, 16 and 32.

    Args:
        arch: ``'xxs'``, ``'xs'``, or a dict of ``depths``, ``embed_dims`` and any of ``head_dim`` (64), ``mlp_ratio``
            (4), ``conv_stem`` (False), ``layer_scale`` (None), and ``keep_ratios``: two lists, the share of tokens that
            each block of stage 3 and of stage 4 keeps (all in the first block of stage 3, half in every other).
        in_channels: Channels of the input. Defaults to 3.
        drop_rate: Dropout rate of the stem's output and the blocks' linear layers. Defaults to 0.
        attn_drop_rate: Dropout rate of the attention's affinities. Defaults to 0.
        drop_path_rate: Stochastic depth rate of the last block; it grows linearly from 0 at the first. Defaults to 0.
        out_indices: Stages (0 to 3) whose maps are returned. Stages after the last one are not built.
            Defaults to all four.
        out_norm: ``'LN'``: each map through a LayerNorm of its own (dense tasks); ``'BN'``: only the last stage's,
            through one BatchNorm (classification). Defaults to ``'LN'``.
        out_cls_token: Whether to return after the maps the class token ``(B, C)`` through its LayerNorm, for an
            auxiliary head in training. Defaults to False.
        frozen_stages: Stages that are not trained: 0 for the stem, ``n`` for the first ``n`` stages, -1 for none.
            Defaults to -1.
        norm_eval: Whether BatchNorms keep their running statistics in training. Defaults to False.
        with_cp: How many of the first blocks of each stage are activation-checkpointed in training; True for all.
            Defaults to none.
        norm_cfg: Type of the BatchNorms, ``'BN'`` or ``'SyncBN'``. Defaults to BN.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` for weights, see :func:`mmuniformer.checkpoint.load`.
        deploy: Whether to build the form that :meth:`switch_to_deploy` makes, to load a checkpoint of it. Defaults to
            False.

    Raises:
        ValueError: When an argument is not one of the above.

    Examples:
        >>> import torch
        >>> from mmuniformer.models import UniFormerLight
        >>> maps = UniFormerLight('xxs')(torch.rand(1, 3, 64, 96))
        >>> [tuple(m.shape) for m in maps]
        [(1, 56, 16, 24), (1, 112, 8, 12), (1, 224, 4, 6), (1, 448, 2, 3)]
    """
    ndim = 2

    def __init__(self,
                 arch: str | Mapping = 'xxs',
                 in_channels: int = 3,
                 drop_rate: float = 0.,
                 attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (0, 1, 2, 3),
                 out_norm: str = 'LN',
                 out_cls_token: bool = False,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool | Sequence[int] = (0, 0, 0, 0),
                 norm_cfg: Mapping = dict(type='BN'),
                 init_cfg: Mapping | None = None,
                 deploy: bool = False):
        super().__init__(
            out_cls_token, arch=arch, in_channels=in_channels, drop_rate=drop_rate, attn_drop_rate=attn_drop_rate,
            drop_path_rate=drop_path_rate, out_indices=out_indices, out_norm=out_norm, frozen_stages=frozen_stages,
            norm_eval=norm_eval, with_cp=with_cp, norm_cfg=norm_cfg, init_cfg=init_cfg, deploy=deploy)

    def build_embed(self, stage: int, in_dim: int, dim: int) -> nn.Module:
        return self._embed(stage, in_dim, dim)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            x: Images of shape ``(B, in_channels, H, W)``.

        Returns:
            Maps of shape ``(B, C, H / stride, W / stride)``, one for each of ``out_indices``; with ``out_cls_token``
            the class token of shape ``(B, C)`` after them.
        """
        return self.forward_with_cls_token(x)


@MODELS.register_module()
class UniFormerLight3D(BaseUniFormerLight):
    """Light UniFormer for videos (`arXiv 2201.09450 <https://arxiv.org/abs/2201.09450>`_, Sec. 3.5).

    Takes clips of shape ``(B, in_channels, T, H, W)``, 32 pixels and more a side. The stem halves the frames (rounded
    up).

    Args:
        arch: ``'xxs'``, ``'xs'`` or a dict, as :class:`UniFormerLight`'s.
        in_channels: Channels of the input. Defaults to 3.
        drop_rate: Dropout rate of the stem's output and the blocks' linear layers. Defaults to 0.
        attn_drop_rate: Dropout rate of the attention's affinities. Defaults to 0.
        drop_path_rate: Stochastic depth rate of the last block; it grows linearly from 0 at the first. Defaults to 0.
        out_indices: Stages (0 to 3) whose maps are returned. Stages after the last one are not built.
            Defaults to the last.
        out_norm: ``'BN'``: the last stage's map through one BatchNorm; ``'LN'``: each map through a LayerNorm of its
            own. Defaults to ``'BN'``.
        out_cls_token: Whether to return after the maps the class token ``(B, C)`` through its LayerNorm. Defaults to
            False.
        frozen_stages: Stages that are not trained: 0 for the stem, ``n`` for the first ``n`` stages, -1 for none.
            Defaults to -1.
        norm_eval: Whether BatchNorms keep their running statistics in training. Defaults to False.
        with_cp: How many of the first blocks of each stage are activation-checkpointed in training; True for all.
            Defaults to none.
        norm_cfg: Type of the BatchNorms, ``'BN'`` or ``'SyncBN'``. Defaults to BN.
        inflation: How 2-D weights in ``init_cfg`` become 3-D, ``'mean'`` or ``'center'``. Defaults to ``'mean'``.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` for weights of images or videos, see
            :func:`mmuniformer.checkpoint.load`.
        deploy: Whether to build the form that :meth:`switch_to_deploy` makes, to load a checkpoint of it. Defaults to
            False.

    Raises:
        ValueError: When an argument is not one of the above.

    Examples:
        >>> import torch
        >>> from mmuniformer.models import UniFormerLight3D
        >>> tuple(UniFormerLight3D('xxs')(torch.rand(1, 3, 8, 64, 64)).shape)
        (1, 448, 4, 2, 2)
    """
    ndim = 3

    def __init__(self,
                 arch: str | Mapping = 'xxs',
                 in_channels: int = 3,
                 drop_rate: float = 0.,
                 attn_drop_rate: float = 0.,
                 drop_path_rate: float = 0.,
                 out_indices: Sequence[int] = (3, ),
                 out_norm: str = 'BN',
                 out_cls_token: bool = False,
                 frozen_stages: int = -1,
                 norm_eval: bool = False,
                 with_cp: bool | Sequence[int] = (0, 0, 0, 0),
                 norm_cfg: Mapping = dict(type='BN3d'),
                 inflation: str = 'mean',
                 init_cfg: Mapping | None = None,
                 deploy: bool = False):
        if inflation not in ('mean', 'center'):
            raise ValueError(f"inflation must be 'mean' or 'center', got {inflation!r}")
        self.inflation = inflation
        super().__init__(
            out_cls_token, arch=arch, in_channels=in_channels, drop_rate=drop_rate, attn_drop_rate=attn_drop_rate,
            drop_path_rate=drop_path_rate, out_indices=out_indices, out_norm=out_norm, frozen_stages=frozen_stages,
            norm_eval=norm_eval, with_cp=with_cp, norm_cfg=norm_cfg, init_cfg=init_cfg, deploy=deploy)

    def build_embed(self, stage: int, in_dim: int, dim: int) -> nn.Module:
        return self._embed(stage, in_dim, dim, (3, 2) if stage == 0 else (1, 1))

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Compute the maps.

        Args:
            x: Clips of shape ``(B, in_channels, T, H, W)``.

        Returns:
            With one stage in ``out_indices`` and no class token, its map of shape
            ``(B, C, T / 2, H / stride, W / stride)``; else a tuple of maps, with ``out_cls_token`` the class token of
            shape ``(B, C)`` last.
        """
        outputs = self.forward_with_cls_token(x)
        return outputs[0] if len(outputs) == 1 else outputs
