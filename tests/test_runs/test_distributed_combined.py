"""Gradient accumulation, activation checkpointing and bfloat16, each and together, in two processes of each kind."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub

from mmuniformer.checkpoint import load
from mmuniformer.models import UniFormer3D

from . import distributed_cases, in_memory
from .in_memory import ROOT, assert_same_training, losses, weights, written

FLOAT = ['accumulate', 'cp', 'accumulate-cp']
HALF = ['bf16', 'bf16-accumulate-cp']
CASES = [f'{kind}{case and "-"}{case}' for kind in ('ddp', 'fsdp') for case in ['', *FLOAT, *HALF]]
FURTHER = ['fsdp-half-accumulate-cp', 'fsdp-light', 'ddp-broken', 'fsdp-broken', 'fsdp-adam', 'fsdp-adam-resumed']


@pytest.fixture(scope='module')
def runs(tmp_path_factory) -> Path:
    """A folder with a run in two processes for each case, and in one process as ``one`` and ``one-light``."""
    folder = tmp_path_factory.mktemp('runs')
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    script = ROOT / 'tests/test_runs/distributed_cases.py'
    with open(folder / 'log', 'w') as log:
        result = subprocess.run(
            [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', str(script),
             str(folder), *CASES, *FURTHER], env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT, timeout=550)
    assert result.returncode == 0, (folder / 'log').read_text()[-6000:]
    for name in ('one', 'one-light'):
        distributed_cases.train(name, 1, folder)
        MessageHub._instance_dict.clear()
    return folder


@pytest.mark.parametrize('case', [case for case in CASES if 'bf16' not in case])
def test_losses_and_weights_are_those_of_one_process(runs, case):
    assert_same_training(runs / case, runs / 'one', accumulate=2 if 'accumulate' in case else 1)
    wrapper = {'ddp': 'MMDistributedDataParallel', 'fsdp': 'MMFullyShardedDataParallel'}[case.partition('-')[0]]
    assert [found['model'] for found in written(runs / case)] == [wrapper, wrapper]


@pytest.mark.parametrize('case', [case for case in [*CASES, *FURTHER] if 'bf16' in case or 'half' in case])
def test_bfloat16_is_near_and_is_used(runs, case):
    accumulate = 2 if 'accumulate' in case else 1
    assert_same_training(runs / case, runs / 'one', accumulate, rtol=0.02, atol=2e-3)
    assert losses(runs / case, accumulate) != pytest.approx(losses(runs / 'one'), rel=1e-6)


def test_light_models_shard(runs):
    assert_same_training(runs / 'fsdp-light', runs / 'one-light')


def test_each_process_holds_its_part(runs):
    (whole, ) = written(runs / 'one')
    parts = written(runs / 'fsdp')
    # A part is filled up to the size of the others.
    assert all(0.49 < found['parameters'] / whole['parameters'] < 0.52 for found in parts)
    assert all(0.49 < found['state'] / whole['state'] < 0.52 for found in parts)
    assert 0 < whole['decayed'] < whole['parameters']
    # Sharded, every parameter is flat: flat_decay_mult would let none decay.
    assert sum(found['decayed'] for found in parts) == pytest.approx(whole['decayed'], rel=1e-3)


def test_checkpoint_loads_into_a_model_that_is_not_sharded(runs):
    path = runs / 'fsdp/epoch_1.pth'
    saved = weights(runs / 'fsdp')
    model = UniFormer3D(arch=in_memory.config(1).model.backbone.arch, temporal_kernel=3)
    report = load(model, path, strict=True)
    assert not report.missing and not report.unexpected
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, saved[f'backbone.{name}']), name


def test_one_process_goes_on_from_a_sharded_run(runs):
    """The config for FSDP, started in one process: weights and the optimiser's state come from the two."""
    cfg = distributed_cases.case('fsdp-adam', 2, runs)
    cfg.update(launcher='none', work_dir=str(runs / 'one-from-two'), resume=True,
               load_from=str(runs / 'fsdp-adam/epoch_1.pth'))
    cfg.train_dataloader.batch_size = in_memory.BATCH
    runner = distributed_cases.build_runner(cfg)
    runner.train()
    assert runner.iter == 6 and type(runner).__name__ == 'Runner'
    for name, tensor in weights(runs / 'fsdp-adam', 2).items():
        # three steps of Adam, of at most the learning rate each
        torch.testing.assert_close(runner.model.state_dict()[name], tensor, rtol=0, atol=2e-3)
    torch.testing.assert_close(torch.tensor(losses(runs / 'one-from-two')),
                               torch.tensor(losses(runs / 'fsdp-adam')[3:]), rtol=1e-3, atol=1e-4)


def test_a_resumed_run_ends_with_the_same_weights(runs):
    expected = weights(runs / 'fsdp-adam', 2)
    resumed = weights(runs / 'fsdp-adam-resumed', 2)
    assert losses(runs / 'fsdp-adam-resumed') == losses(runs / 'fsdp-adam')[3:]
    for name, tensor in expected.items():
        assert torch.equal(resumed[name], tensor), name


def test_a_broken_batch_is_left_out(runs):
    """NonFiniteHook, which the configs have, runs it again on whole parameters to find where the infinity came from."""
    ours, theirs = weights(runs / 'fsdp-broken'), weights(runs / 'ddp-broken')
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-5, atol=1e-6)
    for kind in ('ddp', 'fsdp'):
        log = next((runs / f'{kind}-broken').glob('*/*.log')).read_text()
        assert 'iteration 2 is not finite' in log and 'the batch holds infinities or NaNs' in log
        assert losses(runs / f'{kind}-broken')[2] > 0
