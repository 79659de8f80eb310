"""Training on real videos: to the end, killed and resumed, in two processes, and what the result says of the videos."""
import json
import signal
import subprocess
import time

import pytest
import torch

import mmuniformer  # noqa: F401  (lets safe loading read checkpoints of the Runner)

from .conftest import LABELS, run, tool

EPOCHS = 8


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """A run without interruption: its config and folder."""
    path, work_dir = config('whole', EPOCHS), tmp_path_factory.mktemp('whole')
    run('train.py', path, '--work-dir', work_dir)
    return path, work_dir


def _weights(work_dir, epoch=EPOCHS):
    return torch.load(work_dir / f'epoch_{epoch}.pth', weights_only=True, map_location='cpu')['state_dict']


def _scalars(work_dir, key):
    """Values of a key of the Runner's log, in order."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [record[key] for record in records if key in record]


def test_every_video_is_learned(trained):
    assert _scalars(trained[1], 'acc/top1')[-1] == 1.0
    losses = _scalars(trained[1], 'loss')
    assert losses[-1] < losses[0] / 4


def test_a_killed_run_resumes_to_the_same_weights(trained, tmp_path):
    path, whole = trained
    process = subprocess.Popen(**tool('train.py', path, '--work-dir', tmp_path), stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not (tmp_path / 'epoch_3.pth').exists():
            assert process.poll() is None and time.monotonic() < deadline, 'the run ended before its third epoch'
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / f'epoch_{EPOCHS}.pth').exists(), 'the run was over before it was killed'
    # What the kill caught half written is not what last_checkpoint names.
    output = run('train.py', path, '--work-dir', tmp_path, '--resume')
    assert 'resumed epoch' in output
    expected = _weights(whole)
    for name, tensor in _weights(tmp_path).items():
        assert torch.equal(tensor, expected[name]), name


def test_inferencer_labels_the_videos(trained, videos):
    from mmaction.apis import MMAction2Inferencer
    path, work_dir = trained
    inferencer = MMAction2Inferencer(str(path), str(work_dir / f'epoch_{EPOCHS}.pth'),
                                     label_file=str(videos / 'labels.txt'), device='cpu')
    for label, name in enumerate(LABELS):
        scores = inferencer(str(videos / name))['predictions'][0]['rec_scores'][0]
        assert max(range(len(scores)), key=scores.__getitem__) == label, name


def test_two_processes_train_as_one(config, tmp_path):
    """The same training as one process with the same total batch.

    Each process logs the loss of its own half, so what the losses do to the weights is compared, epoch by epoch.
    BatchNorms keep their statistics (``norm_eval``): those of a batch would differ, and SyncBatchNorm needs a GPU.
    """
    extra = 'model.update(backbone=dict(norm_eval=True))\nauto_scale_lr = dict(enable=False, base_batch_size=4)\n'
    one, two = config('one', 2, batch=4, extra=extra), config('two', 2, batch=2, extra=extra)
    run('train.py', one, '--work-dir', tmp_path / 'one')
    run('dist_train.sh', two, 2, '--work-dir', tmp_path / 'two')
    losses = [_scalars(tmp_path / name, 'loss') for name in ('one', 'two')]
    assert len(losses[0]) == len(losses[1]) == 8, 'as many steps of half the batch a process'
    for epoch in (1, 2):
        expected = _weights(tmp_path / 'one', epoch)
        for name, tensor in _weights(tmp_path / 'two', epoch).items():
            torch.testing.assert_close(tensor, expected[name], rtol=1e-3, atol=1e-4,
                                       msg=lambda text, name=name: f'{name}: {text}')
