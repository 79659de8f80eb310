"""tools/model_converters/deploy.py on a whole model, and tools/test.py on what it wrote."""
import importlib.util
import os
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmuniformer  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
default_scope = 'mmaction'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)
model = dict(
    type='Recognizer3D',
    backbone=dict(
        type='mmuniformer.UniFormer3D', init_cfg=dict(type='Pretrained', checkpoint='not/needed.pth'),
        arch=dict(depths=[1, 1, 1, 1], embed_dims=[8, 16, 24, 32], head_dim=8)),
    cls_head=dict(type='I3DHead', in_channels=32, num_classes=2, average_clips='prob'),
    data_preprocessor=dict(type='ActionDataPreprocessor', format_shape='NCTHW'))
test_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='VideoDataset', ann_file='list.txt', data_prefix=dict(video='.'), test_mode=True, pipeline=[
        dict(type='mmuniformer.ClipInit'),
        dict(type='SampleFrames', clip_len=4, frame_interval=1, test_mode=True),
        dict(type='mmuniformer.ClipDecode'),
        dict(type='Resize', scale=(32, 32), keep_ratio=False),
        dict(type='FormatShape', input_format='NCTHW'),
        dict(type='PackActionInputs')]))
test_evaluator = dict(type='AccMetric')
test_cfg = dict(type='TestLoop')
"""


def _tool():
    spec = importlib.util.spec_from_file_location('deploy_tool', ROOT / 'tools/model_converters/deploy.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def trained(tmp_path):
    """Config and checkpoint of a recognizer whose norms have seen data."""
    pytest.importorskip('mmaction')
    (tmp_path / 'model.py').write_text(CONFIG)
    cfg = Config.fromfile(tmp_path / 'model.py')
    init_default_scope('mmaction')
    model = MODELS.build(cfg.model)
    model.train()
    with torch.no_grad():
        model.backbone(torch.randn(4, 3, 4, 32, 32) * 2 + 1)
    torch.save(dict(meta={}, state_dict=model.state_dict()), tmp_path / 'model.pth')
    return tmp_path / 'model.py', tmp_path / 'model.pth'


def _test(folder, config, checkpoint, dump):
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    command = [sys.executable, str(ROOT / 'tools/test.py'), str(config), str(checkpoint), '--dump', str(dump),
               '--work-dir', str(folder / 'out')]
    return subprocess.run(command, env=env, cwd=folder, text=True, capture_output=True, timeout=300)


def test_folded_model_tests_as_before(trained, tmp_path):
    for index in range(2):
        writer = cv2.VideoWriter(str(tmp_path / f'{index}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 25, (64, 48))
        for _ in range(8):
            writer.write(np.random.RandomState(index).randint(0, 256, (48, 64, 3), dtype=np.uint8))
        writer.release()
    (tmp_path / 'list.txt').write_text('0.mp4 0\n1.mp4 1\n')
    assert _tool().main([*map(str, trained), str(tmp_path / 'folded.pth')]) == 0

    scores = []
    for config, checkpoint in (trained, (tmp_path / 'folded.py', tmp_path / 'folded.pth')):
        result = _test(tmp_path, config, checkpoint, tmp_path / 'out.pkl')
        assert result.returncode == 0, result.stderr
        with open(tmp_path / 'out.pkl', 'rb') as file:
            scores.append(torch.stack([each['pred_score'] for each in pickle.load(file)]))
    assert (scores[0][0] - scores[0][1]).abs().max() > 1e-3, 'two videos of the same score would show nothing'
    torch.testing.assert_close(*scores, rtol=1e-4, atol=1e-5)

    mixed = _test(tmp_path, trained[0], tmp_path / 'folded.pth', tmp_path / 'out.pkl')
    assert mixed.returncode == 1
    assert 'the checkpoint is deployed' in mixed.stderr.strip().splitlines()[-1]


@pytest.mark.parametrize('case, message', [
    ('a tensor lost', 'blocks1.0.norm1.weight is not in it'),
    ('a tensor too many', 'the model has no extra.weight'),
    ('another model', 'tensors differ or are missing'),
    ('folded already', 'give the one the model was trained with'),
    ('other backbone', 'no backbone of type mmuniformer'),
    ('onto itself', 'would be overwritten'),
    ('no suffix', 'must end in .pth'),
])
def test_what_can_not_be_folded_is_named(trained, tmp_path, capsys, case, message):
    config, checkpoint = trained
    out = {'onto itself': checkpoint, 'no suffix': tmp_path / 'folded'}.get(case, tmp_path / 'folded.pth')
    if case == 'a tensor lost':
        content = torch.load(checkpoint)
        del content['state_dict']['backbone.blocks1.0.norm1.weight']
        torch.save(content, checkpoint)
    elif case == 'a tensor too many':
        content = torch.load(checkpoint)
        content['state_dict']['extra.weight'] = torch.zeros(1)
        torch.save(content, checkpoint)
    elif case == 'another model':
        config.write_text(CONFIG.replace('embed_dims=[8, 16, 24, 32]', 'embed_dims=[16, 16, 24, 32]'))
    elif case == 'folded already':
        config.write_text(CONFIG + "model['backbone'].update(deploy=True, init_cfg=None)\n")
    elif case == 'other backbone':
        config.write_text(CONFIG + "model['backbone'] = dict(type='ResNet3d', depth=50, pretrained=None)\n")
    assert _tool().main([str(config), str(checkpoint), str(out)]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'folded.pth').exists()
