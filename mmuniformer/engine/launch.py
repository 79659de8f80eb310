"""What ``tools/train.py`` and ``tools/test.py`` share: a config that fits the machine, and errors in one line."""
import argparse
import difflib
import importlib.util
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, DictAction
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.device import get_device
from mmengine.hub import get_config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmuniformer.checkpoint import CheckpointError
from mmuniformer.checkpoint.layouts import sort_out
from mmuniformer.checkpoint.reading import read
from mmuniformer.compat import is_installed

from .missing import advice, missing_in_one_line

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def read_config(path: str) -> Config:
    """Read the config of a model, or leave with one line that says what is wrong with it.

    Args:
        path: A file, or a packaged config such as ``mmuniformer::recognition/uniformer/...py``.
    """
    if Path(path).is_dir():
        raise SystemExit(f'{path} is a folder: name a config file in it.')
    if '::' not in path and not Path(path).is_file():
        folder = next((parent for parent in Path(path).parents if parent.is_dir()), Path())
        files = {file.name: file for file in folder.rglob('*.py')}
        near = difflib.get_close_matches(Path(path).name, files, n=1)
        raise SystemExit(f'No config file {path}.' + (f' Is it {files[near[0]]}?' if near else ''))
    with missing_in_one_line(path):
        try:
            if '::' in path:
                package = MODULE2PACKAGE.get(path.partition('::')[0])
                if package and not is_installed(package):  # MMEngine would run pip
                    raise ModuleNotFoundError(f'{package} is not installed')
                cfg = get_config(path)
            else:
                cfg = Config.fromfile(path)
        except Exception as error:  # a config is code, and code can fail in any way
            if advice(error):
                raise
            raise SystemExit(f'{path} can not be read as a config ({type(error).__name__}: {first_line(error)})'
                             ) from error
    if 'model' not in cfg:
        raise SystemExit(f'{path} has no `model`: give the config of a task.')
    scope = cfg.get('default_scope')
    with missing_in_one_line(path):
        if scope in MODULE2PACKAGE and importlib.util.find_spec(scope) is None:
            raise ModuleNotFoundError(f'{scope} is not installed')
    return cfg


def first_line(error: object) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or ['no details'])[0]


class Options(DictAction):
    """``--cfg-options``, with one line for what is no KEY=VALUE."""

    def __call__(self, parser, namespace, values, option_string=None):
        for value in values:
            if '=' not in value:
                raise argparse.ArgumentError(self, f'{value!r} is no KEY=VALUE')
        super().__call__(parser, namespace, values, option_string)


def wrong_setting(error: Exception) -> str | None:
    """What an error in building a part says of the part's settings, or None where it is about something else."""
    if isinstance(error, KeyError):
        return first_line(error.args[0]) if ' registry' in str(error) else None
    return first_line(error) if isinstance(error, ValueError) else None


def merge_options(cfg: Config, options: dict | None) -> None:
    """Put what ``--cfg-options`` gave into a config, or leave with one line where it does not fit."""
    try:
        cfg.merge_from_dict(options or {})
    except (AssertionError, IndexError, KeyError, TypeError, ValueError) as error:
        raise SystemExit(f'--cfg-options does not fit the config ({type(error).__name__}: {first_line(error)})'
                         ) from error


def check_checkpoint(source: str) -> tuple[Any, Path]:
    """Leave with one line where a whole model can't be loaded from ``source``.

    A Runner takes the names of OpenMMLab's frameworks alone, and from an official file it would take nothing and go on.

    Returns:
        What the file holds, and where it lies.
    """
    try:
        content, path = read(source)
    except CheckpointError as error:
        raise SystemExit(str(error)) from error
    try:
        layout = sort_out(content).layout
    except CheckpointError:
        return content, path  # another network's, for the Runner to judge
    if layout.startswith('official'):
        raise SystemExit(f'{source} has the names of the official release ({layout}). Convert it first: '
                         f'python tools/model_converters/convert.py {source} FILE --to mm')
    return content, path


def work_dir(cfg: Config, config_path: str, given: str = None) -> str:
    """The command line's folder, else the config's, else ``work_dirs/`` and the config's name."""
    return given or cfg.get('work_dir') or os.path.join('work_dirs', Path(config_path).stem)


def fit_to_machine(cfg: Config) -> list[str]:
    """Change what needs an accelerator where there is none.

    Mixed precision with loss scaling becomes float32, and processes talk through gloo instead of NCCL, with BatchNorms
    that each keeps to itself.

    Args:
        cfg: A config of MMEngine's Runner with ``launcher`` set; changed in place.

    Returns:
        One line for the log for each change.
    """
    if get_device() not in ('cpu', 'mps'):
        return []
    notes = []
    optim_wrapper = cfg.get('optim_wrapper') or {}
    if optim_wrapper.get('type') == 'AmpOptimWrapper':
        optim_wrapper['type'] = 'OptimWrapper'
        for key in ('loss_scale', 'dtype', 'use_fsdp'):
            optim_wrapper.pop(key, None)
        notes.append('No accelerator: training in float32 (OptimWrapper) instead of mixed precision (AmpOptimWrapper).')
    if cfg.get('launcher', 'none') != 'none':
        env_cfg = cfg.setdefault('env_cfg', {})
        env_cfg['dist_cfg'] = dict(env_cfg.get('dist_cfg') or {}, backend='gloo')
        # As the Runner does by default, but it would name a CUDA device.
        wrapper = dict(type='MMDistributedDataParallel', broadcast_buffers=False,
                       find_unused_parameters=cfg.get('find_unused_parameters', False))
        if _is_sharded(cfg):
            _shard_on_cpu(cfg['strategy'])
        elif 'runner_type' in cfg:
            strategy = {'type': 'DDPStrategy', **(cfg.get('strategy') or {})}
            cfg['strategy'] = {**strategy, 'model_wrapper': {
                **wrapper, **(strategy.get('model_wrapper') or {}), 'device_ids': None}}
        else:
            cfg['model_wrapper_cfg'] = {**wrapper, **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None}
        notes.append('No accelerator: processes talk through gloo.')
        if _replace_type(cfg.get('model'), 'SyncBN', 'BN'):
            notes.append('No accelerator: BatchNorms are not synchronised (BN instead of SyncBN).')
    return notes


def _is_sharded(cfg: Config) -> bool:
    return (cfg.get('strategy') or {}).get('type') == 'FSDPStrategy'


def _shard_on_cpu(strategy: dict) -> None:
    strategy['model_wrapper'] = {**(strategy.get('model_wrapper') or {}), 'device_id': 'cpu'}
    if strategy.get('state_dict_cfg') == 'full':
        # MMEngine's short form also moves whole tensors to the CPU. Those there, PyTorch takes for copies: it frees
        # the weights before it reads them, and writes one state of the optimiser over the other.
        strategy['state_dict_cfg'] = dict(
            state_dict_type='FULL_STATE_DICT',
            state_dict_config=dict(type='FullStateDictConfig', rank0_only=True, offload_to_cpu=False),
            optim_state_dict_config=dict(type='FullOptimStateDictConfig', rank0_only=True, offload_to_cpu=False))


def shard_among_several(cfg: Config) -> list[str]:
    """Take FSDP out of a config that runs in one process, which has nobody to share with.

    So one config trains sharded and tests in one process.

    Args:
        cfg: A config of MMEngine's FlexibleRunner with ``launcher`` set; changed in place.

    Returns:
        One line for the log for each change.
    """
    if not _is_sharded(cfg) or cfg.get('launcher', 'none') != 'none':
        return []
    cfg.pop('strategy')
    cfg.pop('runner_type')
    return ['One process: the model is not sharded (Runner instead of FSDPStrategy). Start several with dist_train.sh.']


def _replace_type(part: Any, old: str, new: str) -> int:
    """Replace ``type=old`` wherever it is in a part of a config, and say how often it was there."""
    if isinstance(part, dict):
        found = int(part.get('type') == old)
        if found:
            part['type'] = new
        return found + sum(_replace_type(value, old, new) for value in part.values())
    return sum(_replace_type(each, old, new) for each in part) if isinstance(part, (list, tuple)) else 0


def augment_test(cfg: Config) -> None:
    """Average predictions over the augmentations of the config.

    Args:
        cfg: A config with ``tta_model`` and ``tta_pipeline``; changed in place.
    """
    missing = [key for key in ('tta_model', 'tta_pipeline') if key not in cfg]
    if missing:
        raise SystemExit(f'--tta needs {" and ".join(missing)} in the config: how to augment, and how to merge.')
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:  # a wrapper
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline
    cfg.model = {**cfg.tta_model, 'module': cfg.model}


def draw_predictions(cfg: Config, folder: str, interval: int = 1) -> None:
    """Switch on the framework's visualization hook in testing.

    Args:
        cfg: A config whose ``default_hooks`` name the hook; changed in place.
        folder: Where the drawn inputs go.
        interval: Every how manieth input is drawn. Defaults to 1.
    """
    hook = cfg.get('default_hooks', {}).get('visualization')
    if hook is None:
        raise SystemExit("--show-dir needs the framework's hook in the config, for MMAction2 default_hooks=dict("
                         "visualization=dict(type='VisualizationHook')), which draws tests of a single clip only.")
    hook.interval = interval
    # MMDetection and MMSegmentation say draw, the others enable; each has its own word for the folder.
    if hook.type.rpartition('.')[2] == 'SegVisualizationHook':
        hook.draw = True
        cfg.visualizer.save_dir = folder
    elif hook.type.rpartition('.')[2] in ('DetVisualizationHook', 'TrackVisualizationHook'):
        hook.draw = True
        hook.test_out_dir = folder
    else:
        hook.enable = True
        hook.out_dir = folder


def keep_checkpoints_whole(cfg: Config) -> None:
    """Make the plain checkpoint hook of a config the one that a kill or a full disk can't spoil.

    One that writes to remote storage stays, and so does that of another Runner: its strategy writes the files itself.

    Args:
        cfg: A config of MMEngine's Runner; changed in place.
    """
    hook = cfg.get('default_hooks', {}).get('checkpoint')
    if hook and hook.get('type') == 'CheckpointHook' and 'runner_type' not in cfg and not any(
            hook.get(key) for key in ('out_dir', 'backend_args', 'file_client_args')):
        hook['type'] = 'mmuniformer.SafeCheckpointHook'


def build_runner(cfg: Config) -> Runner:
    """Build the Runner that ``cfg`` asks for, on whatever machine this is."""
    notes = shard_among_several(cfg) + fit_to_machine(cfg)
    keep_checkpoints_whole(cfg)
    if cfg.get('launcher') in ('pytorch', 'slurm') and get_device() == 'cpu' and not torch.distributed.is_initialized():
        # MMEngine would first choose a CUDA device, which fails where there is none.
        if cfg.launcher == 'slurm':
            _read_slurm()
        torch.distributed.init_process_group(backend='gloo')
    try:
        runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    except (KeyError, ValueError) as error:  # nothing is trained or read yet
        if not wrong_setting(error):
            raise
        raise SystemExit(f'{cfg.filename or "The config"}: {wrong_setting(error)}') from error
    for note in notes:
        runner.logger.info(note)
    return runner


def _read_slurm() -> None:
    """Tell PyTorch which process of a Slurm job this is, in the variables that torchrun would set."""
    env = os.environ
    env.update(RANK=env['SLURM_PROCID'], WORLD_SIZE=env['SLURM_NTASKS'], LOCAL_RANK=env.get('SLURM_LOCALID', '0'))
    env.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in env:
        hosts = subprocess.run(['scontrol', 'show', 'hostnames', env['SLURM_NODELIST']], check=True, text=True,
                               capture_output=True).stdout
        env['MASTER_ADDR'] = hosts.split()[0]


@contextmanager
def one_line_errors(cfg: Config) -> Iterator[None]:
    """Leave with one line where data or weights can't be read or written, training diverged, or a known package is not
    installed; other errors pass.
    """
    from mmuniformer.apis.errors import PredictError
    from mmuniformer.datasets.transforms import ClipReadError, TokenLabelError
    from mmuniformer.datasets.wrappers import TooManyUnreadable
    from mmuniformer.engine.hooks import CheckpointWriteError, NonFiniteError
    try:
        with missing_in_one_line(cfg.filename or 'This'):
            yield
    except (ClipReadError, TokenLabelError, TooManyUnreadable) as error:
        # A worker process puts its traceback before the message.
        message = str(error).strip().splitlines()[-1].rpartition(f'{type(error).__name__}: ')[2]
        raise SystemExit(message) from error
    except ImportError as error:  # such as MMAction2's of decord, from a worker process
        lines = [line for line in str(error).splitlines() if 'pip install' in line]
        if not lines:
            raise
        raise SystemExit(lines[-1].removeprefix('ImportError: ')) from error
    # CheckpointError: weights to start from, in an init_cfg; PredictError: a checkpoint of another model
    except (CheckpointError, CheckpointWriteError, NonFiniteError, PredictError) as error:
        raise SystemExit(str(error)) from error
    except (FileNotFoundError, AssertionError) as error:
        missing = {key: path for key, path in data_paths(cfg) if not Path(path).exists()}
        # MMPose and MMSegmentation assert that annotations are there; other assertions are about other things.
        asserted = isinstance(error, AssertionError)
        if not missing or (asserted and not any(path in str(error) for path in missing.values())):
            raise
        listed = ', '.join(f'{path} ({key})' for key, path in missing.items())
        raise SystemExit(f'Not there: {listed}. Prepare the data as the README of the config says, or name '
                         'its place with --cfg-options KEY=PATH, the key in brackets.') from error


def data_paths(cfg: Config) -> Iterator[tuple[str, str]]:
    """Yield ``(key in the config, path)`` of every local file and folder that its data loaders read."""
    for name in LOADERS:
        loader = cfg.get(name)
        if loader:
            yield from _dataset_paths(f'{name}.dataset', loader.get('dataset') or {})


def _dataset_paths(key: str, dataset: Any) -> Iterator[tuple[str, str]]:
    if isinstance(dataset.get('dataset'), dict):  # a wrapper, such as RepeatDataset
        yield from _dataset_paths(f'{key}.dataset', dataset['dataset'])
    for index, part in enumerate(dataset.get('datasets') or ()):  # ConcatDataset
        yield from _dataset_paths(f'{key}.datasets.{index}', part)
    root = dataset.get('data_root') or ''
    prefix = dataset.get('data_prefix') or {}
    named = {'ann_file': dataset.get('ann_file')}
    named.update({f'data_prefix.{kind}': path for kind, path in prefix.items()}
                 if isinstance(prefix, dict) else {'data_prefix': prefix})
    if not any(named.values()):  # folders by convention, as MMPretrain's ImageNet
        named = {'data_root': root}
        root = ''
    for option, path in named.items():
        if isinstance(path, str) and path and '://' not in os.path.join(root, path):
            yield f'{key}.{option}', os.path.join(root, path)
    boxes = dataset.get('bbox_file')  # MMPose's detected persons, which it doesn't look for in the root
    if boxes and '://' not in boxes:
        yield f'{key}.bbox_file', boxes
