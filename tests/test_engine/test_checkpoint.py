"""Checkpoints that are whole whatever stops their writing: kill -9, a full disk."""
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from mmuniformer.engine.hooks import SafeCheckpointHook
from mmuniformer.engine.hooks.storage import WholeFileBackend, write_whole

from . import toy

ROOT = Path(__file__).resolve().parents[2]
# A run of `epochs`, resumed if there is something; its buffer makes a checkpoint large enough to be caught in writing.
RUN = """
import resource, sys
import torch
import mmuniformer
from tests.test_engine import toy

work_dir, epochs, megabytes, limit, keep = sys.argv[1], *map(int, sys.argv[2:6])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runner = toy.runner(work_dir, length=2, epochs=epochs, resume=True,
                    checkpoint=dict(type='mmuniformer.SafeCheckpointHook', interval=1, max_keep_ckpts=keep))
runner.model.register_buffer('ballast', torch.rand(megabytes * 2**18))
print('begins', flush=True)
runner.train()
"""


def start(work_dir, epochs, megabytes=0, limit=0, keep=1) -> subprocess.Popen:
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    command = [sys.executable, '-c', RUN, *map(str, (work_dir, epochs, megabytes, limit, keep))]
    return subprocess.Popen(command, env=env, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(process) -> str:
    text = process.communicate(timeout=200)[0]
    assert process.returncode == 0, text
    return text


def test_kill_in_the_middle_of_writing_leaves_a_run_that_resumes(tmp_path):
    run = tmp_path / 'run'
    finish(start(run, epochs=1, megabytes=200))
    process = start(run, epochs=2, megabytes=200)
    part = run / 'epoch_2.pth.part'
    deadline = time.monotonic() + 120
    while not part.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL and part.exists(), 'it was not caught while writing'
    assert not (run / 'epoch_2.pth').exists() and (run / 'epoch_1.pth').exists()
    assert (run / 'last_checkpoint').read_text() == str(run / 'epoch_1.pth')

    text = finish(start(run, epochs=2, megabytes=200))
    assert 'resumed epoch: 1' in text and 'Epoch(train) [2]' in text and 'Epoch(train) [1]' not in text
    assert 'epoch_2.pth.part, which a run that was stopped did not finish' in text
    assert sorted(p.name for p in run.glob('epoch_*')) == ['epoch_2.pth']
    assert torch.load(run / 'epoch_2.pth', weights_only=True)['meta']['epoch'] == 2


def test_full_disk_leaves_the_checkpoint_before_and_goes_on(tmp_path):
    """The system refuses to write more than a limit into a file, as a full disk would."""
    run = tmp_path / 'run'
    finish(start(run, epochs=1))
    size = (run / 'epoch_1.pth').stat().st_size
    process = start(run, epochs=3, limit=size // 2)
    text = process.communicate(timeout=200)[0]
    assert process.returncode == 1
    # the second epoch's is only missed, the last epoch's is an error
    assert 'Could not write a checkpoint' in text and 'Training goes on without it' in text
    assert 'Epoch(train) [3]' in text and 'CheckpointWriteError' in text.splitlines()[-1] and '--resume' in text
    assert sorted(p.name for p in run.glob('*.pt*')) == ['epoch_1.pth']
    assert (run / 'last_checkpoint').read_text() == str(run / 'epoch_1.pth')

    text = finish(start(run, epochs=3))
    assert 'resumed epoch: 1' in text
    assert sorted(p.name for p in run.glob('*.pt*')) == ['epoch_3.pth']


@pytest.mark.parametrize('keep, left', [(1, [4]), (2, [3, 4]), (-1, [1, 2, 3, 4])])
def test_keeps_as_many_as_asked_for(tmp_path, keep, left):
    toy.runner(tmp_path, length=2, epochs=4, checkpoint=dict(
        type='mmuniformer.SafeCheckpointHook', interval=1, max_keep_ckpts=keep)).train()
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == [f'epoch_{n}.pth' for n in left]


def test_by_iterations(tmp_path):
    toy.runner(tmp_path, length=2, train_cfg=dict(by_epoch=False, max_iters=5), checkpoint=dict(
        type='mmuniformer.SafeCheckpointHook', interval=2, by_epoch=False, max_keep_ckpts=1)).train()
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['iter_5.pth']
    assert (tmp_path / 'last_checkpoint').read_text().endswith('iter_5.pth')


def best_run(tmp_path, scores):
    return toy.runner(
        tmp_path, length=2, epochs=len(scores), val_cfg=dict(),
        val_dataloader=dict(
            batch_size=2, num_workers=0, dataset=dict(type='ToyClips'), collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False)),
        val_evaluator=dict(type='ToyScore', scores=scores),
        checkpoint=dict(type='mmuniformer.SafeCheckpointHook', interval=1, max_keep_ckpts=1, save_best='acc',
                        rule='greater'))


def test_the_best_is_kept(tmp_path):
    best_run(tmp_path, [0.3, 0.5, 0.4]).train()
    assert sorted(p.name for p in tmp_path.glob('*.pth')) == ['best_acc_epoch_2.pth', 'epoch_3.pth']


def test_the_best_outlives_a_better_one_that_cannot_be_written(tmp_path):
    runner = best_run(tmp_path, [0.3, 0.5, 0.4])
    (tmp_path / 'best_acc_epoch_2.pth' / 'in the way').mkdir(parents=True)  # a rename onto it fails
    runner.train()
    names = sorted(p.name for p in tmp_path.iterdir() if p.suffix == '.pth' and p.is_file())
    # 0.4 in the third is better than what there is
    assert names == ['best_acc_epoch_3.pth', 'epoch_3.pth']
    saved = torch.load(tmp_path / 'epoch_3.pth', weights_only=True)['message_hub']['runtime_info']
    assert saved['best_score'] == 0.4 and saved['best_ckpt'].endswith('best_acc_epoch_3.pth')


def test_write_whole_leaves_the_old_file_where_it_fails(tmp_path, monkeypatch):
    path = tmp_path / 'folder/file'
    write_whole(b'old', path)
    monkeypatch.setattr(os, 'fsync', lambda _: (_ for _ in ()).throw(OSError(28, 'No space left on device')))
    with pytest.raises(OSError, match='No space'):
        write_whole(b'new', path)
    assert path.read_bytes() == b'old' and [p.name for p in path.parent.iterdir()] == ['file']


def test_a_file_written_anew_outlives_its_removal(tmp_path):
    backend = WholeFileBackend()
    for name in ('a', 'b'):
        backend.put_text('old', tmp_path / name)
    backend.hold_removals()
    backend.remove(tmp_path / 'a')
    backend.remove(tmp_path / 'b')
    backend.put(b'new', tmp_path / 'b')
    assert (tmp_path / 'a').exists()
    backend.release_removals(do=True)
    assert [p.name for p in tmp_path.iterdir()] == ['b'] and backend.get_text(tmp_path / 'b') == 'new'


def test_remote_storage_is_refused():
    with pytest.raises(ValueError, match='CheckpointHook for remote storage'):
        SafeCheckpointHook(out_dir='s3://bucket/run')
