"""One config of each dense task through tools/dist_train.sh, two processes on the CPU."""
import os
import re
import socket
import subprocess
import sys

import pytest
import torch

from . import dense, dense_data, test_detection_data, test_pose_data, test_segmentation_data


def _config(task: str, folder):
    if task == 'detection':
        return test_detection_data.config(dense_data.coco(folder / 'coco'))
    if task == 'pose':
        return test_pose_data.config(dense_data.coco(folder / 'coco'))
    cfg = test_segmentation_data.config(test_segmentation_data.UPERNET, dense_data.ade(folder / 'ade'))
    cfg.train_dataloader.batch_size = 2
    return cfg


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


@pytest.mark.parametrize('task', ['detection', 'segmentation', 'pose'])
def test_two_processes(task, tmp_path):
    cfg = _config(task, tmp_path)
    cfg.default_hooks.logger.interval = 1
    if task == 'segmentation':
        cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = cfg.default_hooks.checkpoint.interval = 2
    else:
        cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = cfg.default_hooks.checkpoint.interval = 1
    cfg.dump(tmp_path / 'tiny.py')
    env = {**os.environ, 'PYTHON': sys.executable, 'PORT': str(_free_port()), 'OMP_NUM_THREADS': '1',
           'CUDA_VISIBLE_DEVICES': ''}
    out = tmp_path / 'out'
    done = subprocess.run(
        ['bash', str(dense.ROOT / 'tools/dist_train.sh'), str(tmp_path / 'tiny.py'), '2', '--work-dir', str(out)],
        env=env, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=550)
    assert done.returncode == 0, done.stdout[-20000:]
    assert 'processes talk through gloo' in done.stdout
    assert ('BN instead of SyncBN' in done.stdout) == (task == 'segmentation')
    losses = [float(loss) for loss in re.findall(r'  loss: ([\d.]+)', done.stdout)]
    assert losses and all(loss < 1e3 for loss in losses)
    assert re.search({'detection': r'coco/bbox_mAP', 'segmentation': r'mIoU', 'pose': r'coco/AP'}[task], done.stdout)
    (checkpoint, ) = [file for file in out.glob('*.pth') if re.match(r'(epoch|iter)_\d+\.pth', file.name)]
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    assert all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point())
