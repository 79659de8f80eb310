"""Weights of any layout into a backbone or a whole model."""
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

from mmengine.logging import print_log
from torch import Tensor, nn

from .errors import CheckpointError
from .form import check_form
from .heads import as_in
from .inflate import check_mode, inflate, inflates_to
from .layouts import Checkpoint, sort_out
from .published import Published, find_by_content, find_by_name
from .reading import read
from .sizes import Sizes, measure

#: Norms of the outputs: dense models have one a stage, classifiers one in all.
OUTPUT_NORM = re.compile(r'norm([1-4]|_cls)?\.')
#: Attention over time, which weights of images and of joint attention know nothing of.
TIME_ATTENTION = re.compile(r'blocks[34]\.\d+\.t_(attn|norm)\.')
#: A light model for videos may have it where its weights of images have not.
LAYER_SCALE = re.compile(r'blocks[1-4]\.\d+\.gamma_[123]$')


@dataclass
class LoadReport:
    """What became of each tensor. Names of the backbone's are the official release's, others the model's.

    Attributes:
        source: Where the weights came from.
        layout: What kind of checkpoint it was.
        model: Class of the model.
        inflation: How 2-D kernels became 3-D; None where there were none.
        published: The row of the table of published weights, if the file is in it.
        loaded: Tensors of the model that took their values from the checkpoint.
        inflated: Those of them that were 2-D kernels in the checkpoint.
        skipped: Heads of the checkpoint that were left out, and why.
        missing: Tensors of the model that kept their initial values.
        unexpected: Tensors of the checkpoint's backbone that the model has no use for.
    """
    source: str
    layout: str
    model: str
    inflation: str | None = None
    published: Published | None = None
    loaded: list[str] = field(default_factory=list)
    inflated: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        inflated = f', {len(self.inflated)} of them inflated from 2-D by {self.inflation}' if self.inflated else ''
        lines = [f'{self.source} ({self.layout}) loaded into {self.model}: {len(self.loaded)} tensors{inflated}']
        if self.published:
            lines.append(f'published as: {self.published}')
        if self.skipped:
            lines.append('heads left out: ' + '; '.join(f'{name} ({why})' for name, why in self.skipped.items()))
        if self.missing:
            lines.append(f'kept at their initial values: {", ".join(_modules(self.missing))}')
        if self.unexpected:
            lines.append(f'in the checkpoint but not used: {", ".join(_modules(self.unexpected))}')
        return '\n  '.join(lines)


def load(model: nn.Module,
         source: str | os.PathLike,
         *,
         inflation: str | None = None,
         strict: bool = False) -> LoadReport:
    """Load weights of any known layout.

    Known are the official release's files for images and videos, those of OpenMMLab's frameworks in all their versions
    (MMAction2's port of UniFormer and MMPose's project too), averaged weights beside them, and prefixes around them.
    Weights of images are inflated where the model is for videos. Nothing in the file is executed.

    Args:
        model: A backbone, or a model that has one as ``backbone``; its head gets weights too where the checkpoint has a
            head of the same shape. On an error it is left as it was.
        source: Path, URL, or ``hf://owner/repository/path/in/it.pth``.
        inflation: How 2-D kernels become 3-D, ``'mean'`` or ``'center'``. Defaults to the backbone's ``inflation``, or
            ``'mean'`` where it has none.
        strict: Whether each of the model's tensors must be in the checkpoint, and each of the checkpoint's backbone
            (and of its heads, if the model has any) in the model. Otherwise output norms, heads, and attention over
            time that the checkpoint lacks may keep their initial values. The blocks must match in any case.
            Defaults to False.

    Returns:
        What was loaded, inflated, left out, missing and not used. It is logged as well.

    Raises:
        CheckpointError: When the file can't be read, belongs to another network or another ``arch`` (the message says
            which), is a published file whose attention heads have another width than the model's, or is folded
            for inference where the model is not.
        ValueError: When the model has no UniFormer backbone, or for an unknown inflation.
    """
    model = getattr(model, 'module', model)  # DistributedDataParallel
    backbone = getattr(model, 'backbone', model)
    target = backbone.state_dict()
    if not ('blocks1.0.pos_embed.weight' in target and any(name.startswith('patch_embed1.') for name in target)):
        raise ValueError(f'{type(model).__name__} has no UniFormer backbone: expected one, or a model with one as '
                         '`backbone`')
    inflation = inflation or getattr(backbone, 'inflation', 'mean')
    check_mode(inflation)

    content, path = read(source)
    try:
        checkpoint = sort_out(content)
        check_form(checkpoint.is_deployed, 'deployed' in target)
        sizes, wanted = measure(checkpoint.backbone), measure(target)
        published = _published(os.fspath(source), path, sizes)
        _check_sizes(sizes, wanted, published)
        _check_heads_width(backbone, sizes, wanted, published)
        report = LoadReport(os.fspath(source), checkpoint.layout, type(model).__name__, published=published)
        weights = _match_backbone(checkpoint, target, inflation, report)
        heads = _match_heads(checkpoint, model, backbone, report)
        if strict:
            _check_complete(report, whole=model is not backbone)
    except CheckpointError as error:
        raise CheckpointError(f'{os.fspath(source)}: {error}') from error
    backbone.load_state_dict(weights, strict=False)
    if heads:
        model.load_state_dict(heads, strict=False)
    print_log(str(report), logger='current', level=logging.INFO)
    return report


def _published(source: str, path: Path, sizes: Sizes) -> Published | None:
    """The row of the file by its name or, since files get renamed, by its hash."""
    for name in (unquote(Path(urlparse(source).path).name), path.name):
        row = find_by_name(name)
        if row and _may_be(row, sizes):
            return row
    return find_by_content(path)


def _may_be(row: Published, sizes: Sizes) -> bool:
    """Whether a file of a published name can be that file: users give their own files such names, too."""
    from mmuniformer.models.backbones.arch import ARCHS, LIGHT_ARCHS
    arch = {**ARCHS, **LIGHT_ARCHS}[row.arch]
    return (sizes.depths, sizes.embed_dims) == (arch.depths, arch.embed_dims)


def _check_sizes(checkpoint: Sizes, model: Sizes, published: Published | None) -> None:
    differences = checkpoint.differences(model)
    if differences:
        name = f' ({published})' if published else ''
        use = checkpoint.config(model.ndim, published.head_dim if published else None)
        raise CheckpointError(f'the checkpoint{name} does not fit the model: {"; ".join(differences)}. Use {use}')


def _check_heads_width(backbone: nn.Module, sizes: Sizes, model: Sizes, published: Published | None) -> None:
    width = getattr(getattr(backbone, 'arch', None), 'head_dim', None)
    if published is None or width is None or width == published.head_dim:
        return
    raise CheckpointError(f'the checkpoint is the published {published}, the model has head_dim={width}. Their shapes '
                          'are the same, so it would load and give bad scores. '
                          f'Use {sizes.config(model.ndim, published.head_dim)}')


def _match_backbone(checkpoint: Checkpoint, target: Mapping[str, Tensor], inflation: str,
                    report: LoadReport) -> dict[str, Tensor]:
    """Tensors for the backbone. The sizes are known to agree, so what is amiss here is a damaged file."""
    weights, wrong = {}, []
    for name, tensor in checkpoint.backbone.items():
        of_other_stage = OUTPUT_NORM.match(name) and name in target and tensor.shape != target[name].shape
        if name not in target or of_other_stage:
            report.unexpected.append(name)
        elif tensor.shape == target[name].shape:
            weights[name] = tensor
        elif inflates_to(tensor.shape, target[name].shape):
            weights[name] = inflate(tensor, target[name].shape[2], inflation)
            report.inflated.append(name)
        else:
            wrong.append(f'{name} is {tuple(tensor.shape)}, the model has {tuple(target[name].shape)}')
    report.loaded += weights
    report.inflation = inflation if report.inflated else None
    report.missing += [name for name in target if name not in weights and not name.endswith('num_batches_tracked')]

    stages = len(measure(target).depths)
    wrong += [f'{name} is missing' for name in report.missing
              if not any(part.match(name) for part in (OUTPUT_NORM, TIME_ATTENTION, LAYER_SCALE))]
    wrong += [f'{name} is unknown' for name in report.unexpected
              if not OUTPUT_NORM.match(name) and not _is_past(stages, name)]
    # These are there as a whole or not at all; a part of them would be a damaged file.
    for part in (TIME_ATTENTION, LAYER_SCALE):
        lost = [name for name in report.missing if part.match(name)]
        if lost and any(part.match(name) for name in weights):
            wrong += [f'{name} is missing' for name in lost]
    if wrong:
        raise CheckpointError(f'the checkpoint does not fit the model: {_few(wrong)}')
    return weights


def _is_past(stages: int, name: str) -> bool:
    """Whether a tensor belongs to a stage after the model's last."""
    stage = re.match(r'(?:blocks|patch_embed)(\d)\.', name)
    return int(stage[1]) > stages if stage else stages < 4 and name.startswith('cls_')


def _match_heads(checkpoint: Checkpoint, model: nn.Module, backbone: nn.Module,
                 report: LoadReport) -> dict[str, Tensor]:
    """Tensors for what the model has beside its backbone."""
    if model is backbone:
        report.skipped = dict.fromkeys(checkpoint.heads, 'the model is a backbone')
        return {}
    target = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith('backbone.')}
    weights = {}
    for name, tensor in as_in(target, checkpoint.heads).items():
        if name not in target:
            report.skipped[name] = 'the model has none of this name'
        elif tensor.shape != target[name].shape:
            report.skipped[name] = f'{tuple(tensor.shape)}, the model has {tuple(target[name].shape)}'
        else:
            weights[name] = tensor
    report.loaded += weights
    report.missing += [name for name in target if name not in weights and not name.endswith('num_batches_tracked')]
    return weights


def _check_complete(report: LoadReport, whole: bool) -> None:
    wrong = [f'{name} is missing' for name in report.missing] + [f'{name} is not used' for name in report.unexpected]
    if whole:
        wrong += [f'{name} is left out ({why})' for name, why in report.skipped.items()]
    if wrong:
        raise CheckpointError(f'not all of it fits, as strict=True asks for: {_few(wrong)}')


def _few(items: list[str], most: int = 6) -> str:
    more = f' and {len(items) - most} more' if len(items) > most else ''
    return '; '.join(items[:most]) + more


def _modules(names: list[str]) -> tuple[str, ...]:
    """Names of modules, each once, in place of names of their tensors."""
    return tuple(dict.fromkeys(name.rpartition('.')[0] or name for name in names))
