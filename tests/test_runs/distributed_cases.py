"""Trainings in several processes, one after the other: ``torchrun distributed_cases.py FOLDER CASE...``.

Also imported for the same trainings in one process.
"""
import sys
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.optim.optimizer import amp_optimizer_wrapper
from mmengine.runner import Runner

import mmuniformer  # noqa: F401
from mmuniformer.engine.launch import build_runner
from tests.test_runs.in_memory import config, sharded

LIGHT = dict(
    _delete_=True, type='mmuniformer.UniFormerLight3D', norm_eval=True,
    arch=dict(depths=[1, 1, 2, 2], embed_dims=[8, 16, 32, 64], head_dim=16, conv_stem=True))
#: Mixed precision of FSDP itself: also what the processes send each other is half as large.
HALF = dict(param_dtype='bfloat16', reduce_dtype='float32')


def amp_on_cpu(cfg: Config) -> Config:
    """MMEngine's AmpOptimWrapper asks for a GPU, so the project takes float32 instead; autocast works without."""
    amp_optimizer_wrapper.is_cuda_available = lambda: True
    amp_optimizer_wrapper.GradScaler = lambda **kwargs: torch.amp.GradScaler('cpu', **kwargs)
    cfg.optim_wrapper.update(type='mmengine.AmpOptimWrapper', dtype='bfloat16', use_fsdp='strategy' in cfg)
    return cfg


def case(name: str, processes: int, folder: Path) -> Config:
    """The config of a case: words joined by ``-``."""
    words = name.split('-')
    changes = {}
    if 'cp' in words:
        changes['model__backbone__with_cp'] = True
    if 'light' in words:
        changes['model__backbone'] = LIGHT
    if 'frozen' in words:
        changes['model__backbone__frozen_stages'] = 2
    if 'broken' in words:
        changes['train_dataloader__dataset__broken'] = [6]
    cfg = config(processes, accumulate=2 if 'accumulate' in words else 1, **changes)
    if 'fsdp' in words and processes > 1:
        sharded(cfg, **(dict(mixed_precision=HALF) if 'half' in words else {}))
    if 'bf16' in words:
        amp_on_cpu(cfg)
    if 'adam' in words:
        cfg.optim_wrapper.optimizer = dict(type='AdamW', lr=1e-3, weight_decay=0.1)
        cfg.train_cfg.max_epochs = 2
    if 'resumed' in words:
        cfg.load_from, cfg.resume = str(folder / name.replace('-resumed', '') / 'epoch_1.pth'), True
    if 'large' in words:  # as many parameters as the arch has; one small step
        cfg.model.backbone.arch = 'large'
        cfg.model.cls_head.in_channels = 640
        cfg.train_cfg.max_epochs = 1
        cfg.train_dataloader.dataset.length = 4
    if 'adam' not in words or 'large' in words:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        cfg.default_hooks.checkpoint.save_best = None
    cfg.work_dir = str(folder / name)
    cfg.experiment_name = name
    cfg.launcher = 'pytorch' if processes > 1 else 'none'
    return cfg


def train(name: str, processes: int, folder: Path) -> Runner:
    runner = build_runner(case(name, processes, folder))
    runner.train()
    return runner


if __name__ == '__main__':
    for each in sys.argv[2:]:
        train(each, 2, Path(sys.argv[1]))
