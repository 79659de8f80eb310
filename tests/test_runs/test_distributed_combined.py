"""Gradient accumulation, activation checkpointing and bfloat16, each and together, in two processes of each kind."""
import fcntl
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

EXACT = ['ddp', 'fsdp', 'ddp-accumulate-cp', 'fsdp-accumulate-cp']
HALF = ['ddp-bf16-accumulate-cp', 'fsdp-bf16-accumulate-cp', 'fsdp-half-accumulate-cp']
FURTHER = ['fsdp-light', 'fsdp-frozen', 'ddp-broken', 'fsdp-broken', 'fsdp-adam', 'fsdp-adam-resumed']
#: One at a time.
EXACT_ALONE = ['ddp-accumulate', 'ddp-cp', 'fsdp-accumulate', 'fsdp-cp']
HALF_ALONE = ['ddp-bf16', 'fsdp-bf16', 'fsdp-half']


def _slow(cases: list[str]) -> list:
    return [pytest.param(case, marks=pytest.mark.slow) for case in cases]


@pytest.fixture(scope='module')
def runs(tmp_path_factory) -> Path:
    """A folder with a run in two processes for each case; ``one``, ``one-light``, ``one-frozen`` are of one process."""
    base = tmp_path_factory.getbasetemp()
    if 'PYTEST_XDIST_WORKER' in os.environ:  # these share a folder and its runs
        base = base.parent
    folder = base / 'distributed_combined'
    folder.mkdir(exist_ok=True)
    with open(folder / 'lock', 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / 'one-frozen/epoch_1.pth').exists():
            _run(folder, EXACT + HALF + FURTHER)
            for name in ('one', 'one-light', 'one-frozen'):
                distributed_cases.train(name, 1, folder)
                MessageHub._instance_dict.clear()
    return folder


@pytest.fixture(scope='module')
def alone(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('alone')
    _run(folder, EXACT_ALONE + HALF_ALONE)
    return folder


def _run(folder: Path, cases: list[str]) -> None:
    """Run them one after the other in the same two processes."""
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    script = ROOT / 'tests/test_runs/distributed_cases.py'
    with open(folder / 'log', 'w') as log:
        result = subprocess.run(
            [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', str(script),
             str(folder), *cases], env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT, timeout=550)
    assert result.returncode == 0, (folder / 'log').read_text()[-6000:]


@pytest.mark.parametrize('case', EXACT + _slow(EXACT_ALONE))
def test_losses_and_weights_are_those_of_one_process(runs, case, request):
    folder = request.getfixturevalue('alone') if case in EXACT_ALONE else runs
    assert_same_training(folder / case, runs / 'one', accumulate=2 if 'accumulate' in case else 1)
    wrapper = {'ddp': 'MMDistributedDataParallel', 'fsdp': 'MMFullyShardedDataParallel'}[case.partition('-')[0]]
    assert [found['model'] for found in written(folder / case)] == [wrapper, wrapper]


@pytest.mark.parametrize('case', HALF + _slow(HALF_ALONE))
def test_bfloat16_is_near_and_is_used(runs, case, request):
    folder = request.getfixturevalue('alone') if case in HALF_ALONE else runs
    accumulate = 2 if 'accumulate' in case else 1
    assert_same_training(folder / case, runs / 'one', accumulate, rtol=0.02, atol=2e-3)
    assert losses(folder / case, accumulate) != pytest.approx(losses(runs / 'one'), rel=1e-6)


@pytest.mark.parametrize('case', ['light', 'frozen'])
def test_light_models_and_frozen_stages_shard(runs, case):
    assert_same_training(runs / f'fsdp-{case}', runs / f'one-{case}')


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


@pytest.mark.slow
def test_the_large_arch_is_shared_out(tmp_path):
    """Parameters and the optimiser's state of UniFormer-L, a step of AdamW on tiny clips."""
    _run(tmp_path, ['fsdp-adam-large'])
    whole = sum(p.numel() for p in UniFormer3D('large', temporal_kernel=3).parameters()) + (640 + 1) * in_memory.CLASSES
    for found in written(tmp_path / 'fsdp-adam-large'):
        print(f'parameters {found["parameters"] / 1e6:.2f} M of {whole / 1e6:.2f} M, '
              f'state of AdamW {found["state"] / 1e6:.2f} M, peak {found["peak_mib"]:.0f} MiB')
        assert found['parameters'] == pytest.approx(whole / 2, rel=1e-3)
        assert found['state'] == pytest.approx(whole, rel=1e-3)  # two moments of half the parameters
    report = load(UniFormer3D('large', temporal_kernel=3), tmp_path / 'fsdp-adam-large/epoch_1.pth', strict=True)
    assert not report.missing
