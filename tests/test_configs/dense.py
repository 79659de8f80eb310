"""What the tests of detection, segmentation and pose configs share: reading them, and making them small."""
import copy
import csv
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from torch import nn

import mmuniformer  # noqa: F401  (registers the backbones)
from mmuniformer.analysis import count, default_shape, example_inputs, masks_of_detections
from mmuniformer.engine.launch import fit_to_machine

ROOT = Path(__file__).resolve().parents[2]
DEPTHS = dict(small=(3, 4, 8, 3), base=(5, 8, 20, 7))
WEIGHTS = 'hf://Sense-X/uniformer_image/uniformer_{}_in1k.pth'
#: Stage 3 long enough for a hybrid one to have a global block.
TINY = dict(depths=(1, 1, 4, 1), embed_dims=(32, 32, 32, 32), head_dim=16)
#: Channels of the heads and necks, and what they become.
NARROW = {56: 32, 64: 32, 112: 32, 128: 32, 224: 32, 256: 32, 320: 32, 448: 32, 512: 32, 1024: 64, 2048: 64}
WIDTHS = ('in_channels', 'out_channels', 'channels', 'feat_channels', 'conv_out_channels', 'fc_out_channels',
          'embed_dims', 'feedforward_channels')


def metafile(task: str, family: str = 'uniformer') -> dict[str, dict]:
    """Models of a metafile by name."""
    text = (ROOT / 'configs' / task / family / 'metafile.yml').read_text()
    return {model['Name']: model for model in yaml.safe_load(text)['Models']}


def names(task: str, family: str = 'uniformer') -> list[str]:
    return sorted(file.stem for file in (ROOT / 'configs' / task / family).glob('*.py'))


@cache
def _read(task: str, name: str) -> Config:
    (file, ) = (ROOT / 'configs' / task).glob(f'*/{name}.py')
    return Config.fromfile(file)


def config(task: str, name: str) -> Config:
    """A config to do with as one likes; the scope of its framework becomes the default, as a Runner makes it."""
    cfg = copy.deepcopy(_read(task, name))
    init_default_scope(cfg.default_scope)
    return cfg


def plain(part):
    """Part of a config without the scopes that MMEngine notes in what it reads from another package."""
    if isinstance(part, dict):
        return {key: plain(value) for key, value in part.items() if key != '_scope_'}
    return [plain(each) for each in part] if isinstance(part, (list, tuple)) else part


def published(shared: Path, task: str, light: bool = False) -> list[dict]:
    """The authors' rows of a task: those of the light models, or the others."""
    with open(shared / 'reference/official_results.csv') as file:
        return [row for row in csv.DictReader(file) if row['task'] == task and ('X' in row['model']) == light]


def build(cfg: Config) -> nn.Module:
    """The model of a config for one process."""
    return revert_sync_batchnorm(MODELS.build(cfg.model))


def tiny(cfg: Config) -> Config:
    """The same kinds of layers, few and narrow, few samples for the second stage, and no weights to fetch."""
    backbone = cfg.model.backbone
    backbone.arch = dict(TINY, conv_stem=True, mlp_ratio=3) if 'Light' in backbone.type else TINY
    backbone.init_cfg = None
    backbone.with_cp = [min(blocks, depth) for blocks, depth in zip(backbone.get('with_cp', (0, ) * 4), TINY['depths'])]
    for key in ('neck', 'rpn_head', 'roi_head', 'decode_head', 'auxiliary_head', 'head'):
        if cfg.model.get(key):
            _narrow(cfg.model[key])
    train_cfg = cfg.model.get('train_cfg') or {}
    if 'rpn_proposal' in train_cfg:
        train_cfg.rpn_proposal.nms_pre = train_cfg.rpn_proposal.max_per_img = 32
        for stage in train_cfg.rcnn if isinstance(train_cfg.rcnn, list) else [train_cfg.rcnn]:
            stage.sampler.num = 16
    return cfg


def _narrow(part) -> None:
    if isinstance(part, (list, tuple)):
        for each in part:
            _narrow(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            if key in WIDTHS:
                part[key] = ([NARROW.get(width, width) for width in value] if isinstance(value, (list, tuple)) else
                             NARROW.get(value, value))
            elif key == 'num_feats':  # of a sine encoding, half of the channels
                part[key] = 16
            elif key == 'num_points' and value > 1000:  # of a mask loss
                part[key] = 256
            else:
                _narrow(value)


def optimizer(cfg: Config, model: nn.Module) -> OptimWrapper:
    """The optimizer of a config as ``tools/train.py`` builds it on a machine without a GPU."""
    fit_to_machine(cfg)
    return build_optim_wrapper(model, cfg.optim_wrapper)


def decays(model: nn.Module, optim_wrapper: OptimWrapper) -> dict[str, float]:
    """Weight decay by name of the parameter."""
    of = {id(parameter): group['weight_decay'] for group in optim_wrapper.param_groups for parameter in group['params']}
    return {name: of[id(parameter)] for name, parameter in model.named_parameters() if parameter.requires_grad}


def check_step(model: nn.Module, optim_wrapper: OptimWrapper, data: dict) -> dict:
    """Take one training step; every trained parameter gets a gradient and moves. Returns the log."""
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    gradients = set()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(lambda _, name=name: gradients.add(name))
    model.train()
    log = model.train_step(data, optim_wrapper)
    assert log and all(torch.isfinite(value).all() for value in log.values()), log
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == gradients, f'no gradient: {sorted(trained - gradients)}'
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved <= trained and len(moved) > 0.9 * len(trained), sorted(trained - moved)
    return log


def check_backbone(cfg: Config, arch: str, attention: str, window: int | None, drop_path: float, with_cp=(0, 0, 0, 0)):
    backbone = cfg.model.backbone
    assert backbone.type == 'mmuniformer.UniFormer' and backbone.arch == arch
    assert backbone.get('attention', 'global') == attention
    assert backbone.get('window_size') == window
    assert backbone.drop_path_rate == drop_path
    assert tuple(backbone.get('with_cp', (0, 0, 0, 0))) == tuple(with_cp)
    assert backbone.init_cfg == dict(type='Pretrained', checkpoint=WEIGHTS.format(arch))
    assert 'mmuniformer' in cfg.custom_imports.imports and not cfg.custom_imports.allow_failed_imports


def learning_rates(cfg: Config, at: list[int], epoch_length: int = 0) -> list[float]:
    """The learning rate at some iterations, by the config's schedulers.

    ``epoch_length``: iterations in an epoch, after which schedulers by epoch step.
    """
    optim = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr)
    schedulers = [PARAM_SCHEDULERS.build({**each, '_scope_': 'mmengine'}, default_args=dict(optimizer=optim))
                  for each in cfg.param_scheduler]
    rates = []
    optim.step()
    for iteration in range(max(at) + 1):
        if iteration in at:
            rates.append(optim.param_groups[0]['lr'])
        for scheduler in schedulers:
            if not scheduler.by_epoch or epoch_length and (iteration + 1) % epoch_length == 0:
                scheduler.step()
    return rates


def approx(value: float):
    return pytest.approx(value, rel=1e-3)


def check_count(cfg: Config, meta: dict) -> nn.Module:
    """The metafile has what ``tools/analysis_tools/get_flops.py`` counts, to 0.01 GFLOPs. Returns the model."""
    model = build(cfg)
    masks_of_detections(model)
    shape = default_shape(cfg)
    args, kwargs = example_inputs(model, shape)
    complexity = count(model, *args, **kwargs)
    assert f'{shape[1]}x{shape[2]}' == meta['Resolution']
    assert complexity.params == meta['Parameters']
    assert abs(complexity.flops - meta['FLOPs']) <= 5e6
    return model


def check_checkpointing(cfg: Config, data: dict) -> None:
    """With activation checkpointing of stage 3 the gradients are the same, and less is kept for the backward pass."""
    assert cfg.model.backbone.drop_path_rate > 0  # whose random numbers must be the same in the second pass
    gradients, kept = [], []
    for with_cp in ((0, 0, 0, 0), (0, 0, TINY['depths'][2], 0)):
        cfg.model.backbone.with_cp = with_cp
        torch.manual_seed(0)
        model = build(cfg).train()
        batch = model.data_preprocessor(data, True)
        torch.manual_seed(0)
        total = 0

        def keep(tensor):
            nonlocal total
            total += tensor.numel() * tensor.element_size()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            features = model.extract_feat(batch['inputs'])
        loss = sum((level * torch.linspace(-1, 1, level.shape[-1])).mean() for level in features)
        loss.backward()
        gradients.append({name: p.grad for name, p in model.backbone.named_parameters()})
        kept.append(total)
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)
    assert kept[1] < 0.9 * kept[0], f'{kept[1]} bytes kept, {kept[0]} without checkpointing'


@contextmanager
def shapes_into(module: nn.Module, seen: list):
    """Note the shape of each input of a module."""
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(tuple(args[0].shape)))
    try:
        yield
    finally:
        handle.remove()


def check_readme(task: str, meta: dict, metrics: tuple[str, ...], family: str = 'uniformer') -> None:
    """The table has a row for each published model, with the figures of the metafile."""
    lines = (ROOT / 'configs' / task / family / 'README.md').read_text().splitlines()
    for name, model in meta.items():
        if 'Results' not in model:
            continue
        row = [line for line in lines if f'({name}.py)' in line]
        assert len(row) == 1, name
        cells = [cell.strip() for cell in row[0].split('|')]
        figures = {key: value for result in model['Results'] for key, value in result['Metrics'].items()}
        info = model['Metadata']
        expected = [str(figures[metric]) for metric in metrics if metric in figures]
        expected += [f"{info['Parameters'] / 1e6:.1f} M", f"{info['FLOPs'] / 1e9:.1f}"]
        if 'Published FLOPs' in info:
            expected.append(f"{info['Published FLOPs'] / 1e9:g}")
        assert all(value in cells for value in expected), (name, expected)
