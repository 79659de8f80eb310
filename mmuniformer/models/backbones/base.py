"""What the 2-D and the 3-D backbone have in common: stages, outputs, freezing, weights."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmuniformer.ops import channels_first, channels_last

from ..deploy import fold
from ..layers import LAYER_NORM_EPS, ConvPatchEmbed, DividedBlock, LocalBlock, PatchEmbed, batch_norm, checkpointed
from .arch import Arch, resolve

STAGES = 4
#: Stages 1 and 2 relate tokens locally, 3 and 4 globally (arXiv 2201.09450, Sec. 3.3).
LOCAL_STAGES = 2


class BaseUniFormer(BaseModule):
    """Four stages of a patch embedding and blocks each, over images (``ndim = 2``) or videos (``ndim = 3``).

    A subclass sets :attr:`ndim` and says what stands in a stage by :meth:`build_embed` and :meth:`build_global_block`.
    Parameter names and shapes are the official release's. The arguments are documented in the subclasses.
    """
    ndim: int
    light = False

    def __init__(self, arch: str | Mapping | Arch, in_channels: int, drop_rate: float, attn_drop_rate: float,
                 drop_path_rate: float, out_indices: Sequence[int], out_norm: str, frozen_stages: int, norm_eval: bool,
                 with_cp: bool | Sequence[int], norm_cfg: Mapping, init_cfg: Mapping | list | None,
                 deploy: bool):
        super().__init__(init_cfg)
        self.arch = resolve(arch, self.light)
        self.in_channels = in_channels
        self.drop_rate = drop_rate
        self.attn_drop_rate = attn_drop_rate
        self.norm_cfg = dict(norm_cfg)
        self.norm_eval = norm_eval
        self.out_indices = _checked_out_indices(out_indices)
        self.out_norm = out_norm
        self.with_cp = _checked_with_cp(with_cp, self.arch.depths)
        if not -1 <= frozen_stages <= STAGES:
            raise ValueError(f'frozen_stages must be -1 (none) to {STAGES}, got {frozen_stages}')
        self.frozen_stages = frozen_stages

        # Stages past the last output would be parameters without gradient, which DistributedDataParallel rejects.
        self.num_stages = self.out_indices[-1] + 1
        last = max(sum(self.arch.depths) - 1, 1)
        rates = iter([drop_path_rate * index / last for index in range(sum(self.arch.depths))])
        dims = (in_channels, *self.arch.embed_dims)
        self.pos_drop = nn.Dropout(drop_rate)
        for stage in range(self.num_stages):
            self.add_module(f'patch_embed{stage + 1}', self.build_embed(stage, dims[stage], dims[stage + 1]))
            blocks = [self._build_block(stage, index, next(rates)) for index in range(self.arch.depths[stage])]
            self.add_module(f'blocks{stage + 1}', nn.ModuleList(blocks))
        self._add_output_norms()
        self.add_state()
        self._init_parameters()
        self._freeze()
        self.is_deployed = False
        if deploy:
            if init_cfg is not None:
                raise ValueError('deploy=True builds the folded form, whose weights are a deployed checkpoint: leave '
                                 'init_cfg out and load the file that tools/model_converters/deploy.py wrote')
            self.switch_to_deploy()

    # ------------------------------------------------------------------ construction
    def build_embed(self, stage: int, in_dim: int, dim: int) -> nn.Module:
        """The patch embedding before a stage (counted from 0)."""
        raise NotImplementedError

    def build_global_block(self, stage: int, index: int, **kwargs) -> nn.Module:
        """Block ``index`` of a stage of global relation (both counted from 0)."""
        raise NotImplementedError

    def add_state(self) -> None:
        """Parameters of what :meth:`run_blocks` hands from stage to stage; none here."""

    def build_norm(self, dim: int) -> nn.Module:
        """The BatchNorm of ``norm_cfg`` for this number of dimensions."""
        cfg = dict(self.norm_cfg)
        if cfg.get('type') in ('BN', 'BN2d', 'BN3d'):
            cfg['type'] = f'BN{self.ndim}d'
        return build_norm_layer(cfg, dim)[1]

    def _embed(self, stage: int, in_dim: int, dim: int, temporal: tuple[int, int] = (1, 1)) -> nn.Module:
        if not self._overlapping(stage):
            return PatchEmbed(self.ndim, in_dim, dim, 4 if stage == 0 else 2, temporal)
        dims = (in_dim, dim // 2, dim) if stage == 0 else (in_dim, dim)
        return ConvPatchEmbed(self.ndim, dims, self.build_norm, temporal)

    def _overlapping(self, stage: int) -> bool:
        return self.arch.conv_stem

    def _build_block(self, stage: int, index: int, drop_path: float) -> nn.Module:
        common = dict(
            dim=self.arch.embed_dims[stage], mlp_ratio=self.arch.mlp_ratio, drop=self.drop_rate, drop_path=drop_path)
        if stage < LOCAL_STAGES:
            return LocalBlock(self.ndim, norm_layer=self.build_norm, layer_scale=self._local_layer_scale(), **common)
        return self.build_global_block(
            stage, index, head_dim=self.arch.head_dim, attn_drop=self.attn_drop_rate, **common)

    def _local_layer_scale(self) -> float | None:
        """Only attention blocks have one, but for the light models."""

    def _add_output_norms(self) -> None:
        if self.out_norm == 'LN':
            for stage in self.out_indices:
                self.add_module(f'norm{stage + 1}', nn.LayerNorm(self.arch.embed_dims[stage], LAYER_NORM_EPS))
        elif self.out_norm == 'BN':
            self.norm = self.build_norm(self.arch.embed_dims[self.num_stages - 1])
        else:
            raise ValueError(f"out_norm must be 'LN' (one norm an output map) or 'BN' (one after the last stage), "
                             f'got {self.out_norm!r}')

    # ------------------------------------------------------------------ weights
    def _init_parameters(self) -> None:
        """The papers' initial values: Linear weights truncated normal of std 0.02, biases 0; PyTorch's for the rest."""
        for module in self.modules():
            if type(module) is nn.Linear:
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for module in self.modules():
            if isinstance(module, DividedBlock):
                module.init_time_attention()

    def init_weights(self) -> None:
        """Follow ``init_cfg``: ``Pretrained`` reads any layout :func:`mmuniformer.checkpoint.load` knows.

        Other keys of the dict (``strict``, ``inflation``) are passed on to that function. Without ``init_cfg`` the
        parameters keep the initial values of the constructor.
        """
        if not (isinstance(self.init_cfg, Mapping) and self.init_cfg.get('type') == 'Pretrained'):
            super().init_weights()
            return
        from mmuniformer.checkpoint import load
        options = {key: value for key, value in self.init_cfg.items() if key not in ('type', 'checkpoint')}
        load(self, self.init_cfg['checkpoint'], **options)
        self._is_init = True

    # ------------------------------------------------------------------ inference only
    def switch_to_deploy(self) -> 'BaseUniFormer':
        """Fold what can be folded exactly, for inference: same output up to rounding, fewer operations.

        In place, and reversible only by loading the weights into a new model. The backbone goes into evaluation mode
        and refuses to run in training mode from here on. Its state dict has a tensor ``deployed`` and fits only
        backbones built with ``deploy=True``. A second call does nothing. See :mod:`mmuniformer.models.deploy`.

        Returns:
            The backbone itself.

        Raises:
            ValueError: For a BatchNorm without running statistics.
        """
        if not self.is_deployed:
            fold(self)
            self.is_deployed = True
            # Not a setting: it names the folded form in checkpoints.
            self.register_buffer('deployed', torch.ones((), dtype=torch.bool))
            self.requires_grad_(False)
            self.eval()
        return self

    def _load_from_state_dict(self, state_dict: Mapping, prefix: str, *args) -> None:
        """Tell a folded checkpoint from one that is not; every way of loading comes through here."""
        if f'{prefix}blocks1.0.pos_embed.weight' in state_dict:
            from mmuniformer.checkpoint.form import check_form
            check_form(f'{prefix}deployed' in state_dict, self.is_deployed)
        super()._load_from_state_dict(state_dict, prefix, *args)

    # ------------------------------------------------------------------ training
    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.eval()
            for parameter in module.parameters():
                parameter.requires_grad = False

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        modules = [self.patch_embed1]
        for number in range(1, min(self.frozen_stages, self.num_stages) + 1):
            names = (f'patch_embed{number}', f'blocks{number}', f'norm{number}')
            modules += [getattr(self, name) for name in names if hasattr(self, name)]
        return modules

    def train(self, mode: bool = True) -> 'BaseUniFormer':
        """Switch mode; frozen stages, and with ``norm_eval`` every BatchNorm, stay in evaluation mode."""
        super().train(mode)
        if mode:
            for module in self._frozen_modules():
                module.eval()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        module.eval()
        return self

    # ------------------------------------------------------------------ forward
    def _check_input(self, x: Tensor) -> None:
        expected = f'({", ".join(["B", str(self.in_channels), *["T"] * (self.ndim - 2), "H", "W"])})'
        if x.ndim != self.ndim + 2 or x.shape[1] != self.in_channels:
            raise ValueError(f'{type(self).__name__} takes input of shape {expected}, got {tuple(x.shape)}')
        stride = 2**(self.num_stages + 1)
        if not self._overlapping(self.num_stages - 1) and (x.shape[-2] < stride or x.shape[-1] < stride):
            raise ValueError(
                f'{type(self).__name__} shrinks an input {stride} times, so its height and width must be at least '
                f'{stride} each (multiples of {stride} use every pixel), got {tuple(x.shape[-2:])}')

    def forward_stages(self, x: Tensor) -> tuple[tuple[Tensor, ...], Any]:
        """The maps of ``out_indices``, shape ``(B, C, *S)`` each, and the last stage's state.

        The maps are contiguous: operators outside of PyTorch that read memory as it lies, such as MMCV's RoIAlign, take
        channels-last maps for something else without a word.
        """
        if self.is_deployed and self.training:
            raise RuntimeError(f'this {type(self).__name__} is deployed (its norms are folded into its weights), so it '
                               'can not be trained: call eval(), or build it anew without deploy=True')
        self._check_input(x)
        x = channels_last(x)
        outputs, state = [], None
        for stage in range(self.num_stages):
            x = self.embed(stage, x)
            if stage == 0:
                x = self.pos_drop(x)
            x, state = self.run_blocks(stage, x, state)
            if stage in self.out_indices:
                outputs.append(channels_first(self._normalized(x, stage)).contiguous())
        return tuple(outputs), state

    def embed(self, stage: int, x: Tensor) -> Tensor:
        """The patch embedding before a stage."""
        return getattr(self, f'patch_embed{stage + 1}')(x)

    def run_blocks(self, stage: int, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """A stage's blocks on its map; ``state`` is what one stage hands to the next beside the map."""
        for index, block in enumerate(getattr(self, f'blocks{stage + 1}')):
            x = self.run_block(stage, index, block, x)
        return x, state

    def run_block(self, stage: int, index: int, block: nn.Module, *inputs: Tensor) -> Any:
        """One block, activation-checkpointed if it is one of the first ``with_cp[stage]`` (as in the release)."""
        if self.training and index < self.with_cp[stage]:
            return checkpointed(block, *inputs)
        return block(*inputs)

    def _normalized(self, x: Tensor, stage: int) -> Tensor:
        if self.out_norm == 'LN':
            return getattr(self, f'norm{stage + 1}')(x)
        return batch_norm(self.norm, x) if stage == self.num_stages - 1 else x


def _checked_out_indices(out_indices: Sequence[int]) -> tuple[int, ...]:
    indices = tuple(sorted(set(out_indices)))
    if not indices or indices[0] < 0 or indices[-1] >= STAGES:
        raise ValueError(f'out_indices must be stages 0 to {STAGES - 1}, got {tuple(out_indices)}')
    return indices


def _checked_with_cp(with_cp: bool | Sequence[int], depths: Sequence[int]) -> tuple[int, ...]:
    if isinstance(with_cp, bool):
        return tuple(depths) if with_cp else (0, ) * STAGES
    if len(with_cp) != STAGES or not all(0 <= n <= depth for n, depth in zip(with_cp, depths)):
        raise ValueError(f'with_cp must be True, False or four numbers of blocks, at most {tuple(depths)}, '
                         f'got {with_cp}')
    return tuple(with_cp)
