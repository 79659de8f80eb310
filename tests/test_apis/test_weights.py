"""Checkpoints of another model are refused before a Runner takes what fits of them."""
from collections import OrderedDict

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.registry import MODELS
from torch import nn

from mmuniformer.apis import PredictError
from mmuniformer.apis.weights import check_fit, check_runner
from mmuniformer.engine.launch import build_runner
from tests.test_engine.toy import ToyClassifier


@MODELS.register_module(force=True)
class ToyAverage(BaseTTAModel):

    def merge_preds(self, data_samples_list):
        return data_samples_list


@pytest.mark.parametrize('kind', ['Runner', 'FlexibleRunner', 'averaged'])
def test_model_of_a_runner(tmp_path, kind):
    model = dict(type='ToyClassifier')
    cfg = Config(dict(
        model=dict(type='ToyAverage', module=model) if kind == 'averaged' else model, work_dir=str(tmp_path),
        experiment_name=f'fit_{kind}', log_level='ERROR', launcher='none',
        env_cfg=dict()))
    if kind == 'FlexibleRunner':
        cfg.runner_type = kind
        cfg.strategy = dict(type='SingleDeviceStrategy')
    runner = build_runner(cfg)
    good = ToyClassifier().state_dict()
    before = torch.get_rng_state()
    check_runner(runner, dict(state_dict=good), 'good.pth', 'a.py')
    assert torch.equal(torch.get_rng_state(), before)
    for bad in ({**good, 'neck.0.weight': torch.zeros(16, 8)}, {k: v for k, v in good.items() if k[:4] != 'neck'}):
        with pytest.raises(PredictError, match=r'^bad.pth does not fit a.py: [12] of \d+ tensors .*neck.0.weight is '):
            check_runner(runner, dict(state_dict=bad), 'bad.pth', 'a.py')


def test_names_of_an_older_version():
    """Which the model's own modules turn into today's: MMPose's before 1.0."""
    heads = pytest.importorskip('mmpose.models.heads')
    model = nn.ModuleDict(dict(head=heads.HeatmapHead(
        8, 2, deconv_out_channels=None, conv_out_channels=(4, ), conv_kernel_sizes=(1, ))))
    old = OrderedDict()
    for name, value in model.state_dict().items():
        name = name.replace('final_layer.', 'final_layer.3.').replace('conv_layers.', 'final_layer.')
        old[name] = value + 1
    assert check_fit(model, dict(state_dict=old), 'old.pth', 'a.py') == []
    torch.testing.assert_close(model['head'].final_layer.bias, old['head.final_layer.3.bias'])
    del old['head.final_layer.3.bias']
    with pytest.raises(PredictError, match=r'old.pth does not fit a.py: 1 of \d+ .*head.final_layer.bias is not in it'):
        check_fit(model, dict(state_dict=old), 'old.pth', 'a.py')


def test_what_is_no_state_dict():
    with pytest.raises(PredictError, match='list.pth does not fit a.py: 2 of 2 tensors'):
        check_fit(nn.Linear(1, 1), [1, 2], 'list.pth', 'a.py')
