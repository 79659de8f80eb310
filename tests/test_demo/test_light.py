"""The light model's demo: the same data and recipe with another model, and a clear word where there is none."""
import json
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config

from .test_demo import ROOT, command

LIGHT = ('--arch', 'light')


def test_only_the_model_and_its_learning_rate_differ():
    light, other = (Config.fromfile(ROOT / f'configs/demo/{name}-demo_recognition.py').to_dict()
                    for name in ('uniformer-light', 'uniformer'))
    assert light['model'].pop('backbone')['type'] == 'mmuniformer.UniFormerLight3D'
    assert light['model']['cls_head'].pop('type') == 'mmuniformer.ClassTokenI3DHead'
    for each in (light, other):
        each.pop('custom_imports')
        each['optim_wrapper']['optimizer'].pop('lr')
    del other['model']['backbone'], other['model']['cls_head']['type']
    assert light == other


def test_demo(tmp_path):
    done = subprocess.run(
        **command(tmp_path, *LIGHT, '--min-value', '0', '--max-one-frame', '1', '--cfg-options', 'generator.train=8',
                  'generator.val=8', 'train_dataloader.batch_size=4', 'train_cfg.max_epochs=1',
                  'default_hooks.logger.interval=1'),
        capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads((tmp_path / 'out/report.json').read_text())
    assert (report['task'], report['metric'], report['baseline']) == ('recognition-light', 'acc/top1', 0.125)
    assert report['value'] * 8 in range(9) and report['one_frame_value'] * 8 in range(9)
    assert report['config'].endswith('configs/demo/uniformer-light-demo_recognition.py')
    state = torch.load(report['checkpoint'], weights_only=False)['state_dict']
    assert {'backbone.cls_token', 'cls_head.fc_token.weight'} <= set(state)
    log = [json.loads(line) for file in (tmp_path / 'out').glob('*/vis_data/scalars.json')
           for line in file.read_text().splitlines()]
    assert [line for line in log if {'loss_cls', 'loss_token'} <= set(line)]


def test_task_without_a_light_model(monkeypatch, capsys):
    from train_demo import parse_args
    monkeypatch.setattr(sys, 'argv', ['train_demo.py', *LIGHT, '--task', 'classification'])
    with pytest.raises(SystemExit):
        parse_args()
    assert capsys.readouterr().err.splitlines()[-1].endswith(
        'error: --arch light has no demo for --task classification, only for recognition')


@pytest.mark.slow
def test_whole(tmp_path):
    done = subprocess.run(**{**command(tmp_path, *LIGHT), 'env': None}, capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    report = json.loads((tmp_path / 'out/report.json').read_text())
    from demokit.recognition_light import LightRecognition
    assert report['value'] >= LightRecognition.floor and report['one_frame_value'] <= 0.25
