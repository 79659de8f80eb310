"""A tiny recognizer of the demo on clips in memory, and what each process writes down of its training.

Configs name it in ``custom_imports``, so that the project's commands train on it.
"""
import json
import resource
from pathlib import Path

import torch
from mmaction.registry import DATASETS, HOOKS
from mmaction.structures import ActionDataSample
from mmengine import dist
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook

ROOT = Path(__file__).resolve().parents[2]
CLASSES = 4
#: Clips of all processes together in a step of the optimiser.
BATCH = 4


@DATASETS.register_module(force=True)
class ClipsInMemory(BaseDataset):
    """Clips of noise around the brightness of their class; those of ``broken`` hold an infinity."""

    def __init__(self, length: int = 8, broken: tuple = (), **kwargs):
        self.length, self.broken = length, tuple(broken)
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        return [dict(number=number) for number in range(self.length)]

    def prepare_data(self, idx: int) -> dict:
        label = idx % CLASSES
        clip = torch.rand(1, 3, 4, 32, 32, generator=torch.Generator().manual_seed(idx)) * 127 + label * 127 / CLASSES
        if idx in self.broken:
            clip[0, 0, 0, 0, 0] = torch.inf
        return dict(inputs=clip, data_samples=ActionDataSample().set_gt_label(label))


@HOOKS.register_module(force=True)
class EachProcessHook(Hook):
    """Write what every process saw to ``rankN.json``: lines of several on one pipe would run into each other."""

    def before_train(self, runner) -> None:
        self.losses = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        self.losses.append(outputs['loss'].item())

    def after_train(self, runner) -> None:
        state = [tensor for each in runner.optim_wrapper.optimizer.state.values() for tensor in each.values()
                 if isinstance(tensor, torch.Tensor) and tensor.ndim]
        content = dict(
            losses=self.losses, model=type(runner.model).__name__,
            parameters=sum(p.numel() for p in runner.model.parameters()),
            state=sum(tensor.numel() for tensor in state),
            decayed=sum(p.numel() for group in runner.optim_wrapper.param_groups for p in group['params']
                        if group['weight_decay']),
            peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        Path(runner.work_dir, f'rank{dist.get_rank()}.json').write_text(json.dumps(content))


def config(processes: int, steps: int = 3, accumulate: int = 1, **changes) -> Config:
    """A short training, the same in one process and in several.

    BatchNorms keep their statistics (``norm_eval``), since those of a part of a batch would differ. SGD, because Adam
    makes a large step of a gradient that is zero up to rounding. Clipping bites, and weights but no biases decay.

    Args:
        processes: How many share a batch.
        steps: Steps of the optimiser. Defaults to 3.
        accumulate: Batches whose gradients are added up for a step. Defaults to 1.
        changes: What else to change, as ``--cfg-options``, with two underscores for the dots in keys.
    """
    cfg = Config.fromfile(ROOT / 'configs/demo/uniformer-demo_recognition.py')
    cfg.custom_imports = dict(imports=['mmuniformer', 'tests.test_runs.in_memory'], allow_failed_imports=False)
    loader = dict(num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    cfg.train_dataloader = dict(
        batch_size=BATCH // processes // accumulate, dataset=dict(type='ClipsInMemory', length=BATCH * steps), **loader)
    cfg.val_dataloader = cfg.test_dataloader = dict(batch_size=4, dataset=dict(type='ClipsInMemory'), **loader)
    cfg.model.backbone.norm_eval = True
    cfg.model.backbone.arch = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 32, 64], head_dim=16)
    cfg.model.cls_head.update(num_classes=CLASSES, in_channels=64)
    cfg.optim_wrapper = dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.1),
        paramwise_cfg=dict(flat_decay_mult=0.), clip_grad=dict(max_norm=0.5), accumulative_counts=accumulate)
    cfg.param_scheduler = None  # it would count batches, of which accumulation has more
    cfg.train_cfg.max_epochs = 1
    cfg.randomness = dict(seed=0)
    cfg.custom_hooks.append(dict(type='EachProcessHook'))
    cfg.merge_from_dict({key.replace('__', '.'): value for key, value in changes.items()})
    return cfg


def sharded(cfg: Config, **model_wrapper) -> Config:
    """The config with the project's base for FSDP, and further arguments of FSDP."""
    cfg.merge_from_dict(Config.fromfile(ROOT / 'configs/_base_/strategies/fsdp.py')._cfg_dict)
    cfg.strategy.model_wrapper.update(model_wrapper)
    return cfg


def written(folder: Path) -> list[dict]:
    """What each process wrote down."""
    return [json.loads(file.read_text()) for file in sorted(Path(folder).glob('rank*.json'))]


def losses(folder: Path, accumulate: int = 1) -> list[float]:
    """Loss of each step of the optimiser, the mean over all processes and batches."""
    each = [sum(batch) / len(batch) for batch in zip(*[found['losses'] for found in written(folder)], strict=True)]
    return [sum(each[i:i + accumulate]) / accumulate for i in range(0, len(each), accumulate)]


def weights(folder: Path, epoch: int = 1) -> dict[str, torch.Tensor]:
    return torch.load(Path(folder, f'epoch_{epoch}.pth'), weights_only=True, map_location='cpu')['state_dict']


def assert_same_training(folder: Path, expected: Path, accumulate: int = 1, rtol: float = 1e-5,
                         atol: float = 1e-6) -> None:
    """Losses of all steps and weights at the end are those of another run."""
    torch.testing.assert_close(torch.tensor(losses(folder, accumulate)), torch.tensor(losses(expected)), rtol=rtol,
                               atol=atol)
    theirs = weights(expected)
    ours = weights(folder)
    assert list(ours) == list(theirs)
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=rtol, atol=atol, msg=lambda text, n=name: f'{n}: {text}')
