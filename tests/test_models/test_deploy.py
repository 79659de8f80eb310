"""Folding for inference: same output, in every form of every backbone."""
import os
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmuniformer.checkpoint import CheckpointError, load
from mmuniformer.checkpoint.convert import to_official
from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D

TINY = dict(depths=[2, 2, 5, 2], embed_dims=[16, 32, 48, 64], head_dim=16)
SCALED = dict(TINY, layer_scale=0.1)
IMAGE, CLIP = (2, 3, 64, 96), (2, 3, 4, 64, 64)
CASES = {
    'image': (UniFormer, {}, IMAGE),
    'image, window': (UniFormer, dict(attention='window', window_size=3), IMAGE),
    'image, hybrid': (UniFormer, dict(attention='hybrid', window_size=3), IMAGE),
    'image, conv stem, SyncBN': (UniFormer, dict(arch=dict(TINY, conv_stem=True), norm_cfg=dict(type='SyncBN')), IMAGE),
    'image, layer scale, BN': (UniFormer, dict(arch=SCALED, out_norm='BN', out_indices=(3, )), IMAGE),
    'image, two stages': (UniFormer, dict(out_indices=(1, )), IMAGE),
    'video': (UniFormer3D, {}, CLIP),
    'video, layer scale': (UniFormer3D, dict(arch=SCALED), CLIP),
    'video, conv stem': (UniFormer3D, dict(arch=dict(TINY, conv_stem=True)), CLIP),
    'video, divided': (UniFormer3D, dict(attention='divided'), CLIP),
    'light image': (UniFormerLight, dict(arch=dict(TINY, conv_stem=True), out_cls_token=True), IMAGE),
    'light image, layer scale': (UniFormerLight, dict(arch=SCALED), IMAGE),
    'light video': (UniFormerLight3D, dict(arch=dict(TINY, conv_stem=True)), CLIP),
    'light video, layer scale': (UniFormerLight3D, dict(arch=SCALED), CLIP),
}


def _build(case, **kwargs):
    cls, case_kwargs, shape = CASES[case]
    return cls(**{'arch': TINY, **case_kwargs, **kwargs}), torch.randn(shape)


def _trained(model):
    """No parameter and no statistic left at a value that would hide a wrong fold."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or 'gamma' in name or name == 'cls_token':
            nn.init.uniform_(parameter, -0.5, 1)
    return model.eval()


@torch.no_grad()
def _maps(model, x):
    output = model(x)
    return output if isinstance(output, tuple) else (output, )


def _assert_equal(ours, expected, tolerance=1e-5):
    assert len(ours) == len(expected)
    for mine, theirs in zip(ours, expected):
        assert (mine - theirs).abs().max() < tolerance * theirs.abs().max()


@pytest.mark.parametrize('case', CASES)
def test_same_output(case):
    model, x = _build(case)
    expected = _maps(_trained(model), x)
    assert model.switch_to_deploy() is model
    _assert_equal(_maps(model, x), expected)


@pytest.mark.parametrize('case', ['image, hybrid', 'video, divided', 'light image, layer scale'])
def test_same_output_in_double_precision_to_its_own_rounding(case):
    model, x = _build(case)
    model, x = _trained(model).double(), x.double()
    expected = _maps(model, x)
    _assert_equal(_maps(model.switch_to_deploy(), x), expected, 1e-12)


def test_folds_what_the_documentation_says():
    model = _trained(_build('image, conv stem, SyncBN')[0]).switch_to_deploy()
    left = [name for name, module in model.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert not left
    affine = [name for name, module in model.named_modules()
              if isinstance(module, nn.LayerNorm) and module.elementwise_affine]
    assert affine == ['norm1', 'norm2', 'norm3', 'norm4']
    scaled = _trained(_build('video, layer scale')[0]).switch_to_deploy()
    assert not [name for name in scaled.state_dict() if 'gamma' in name]


def test_a_second_time_changes_nothing():
    model, x = _build('video')
    expected = _maps(_trained(model).switch_to_deploy(), x)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.switch_to_deploy()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(a, b) for a, b in zip(_maps(model, x), expected))


@pytest.mark.parametrize('case', ['image', 'video', 'light image', 'light video'])
def test_refuses_to_be_trained(case):
    model, x = _build(case)
    model.switch_to_deploy()
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(RuntimeError, match='deployed.*eval'):
        model.train()(x)


@pytest.mark.parametrize('case', CASES)
def test_its_checkpoint_loads_into_a_model_built_deployed(case):
    model, x = _build(case)
    expected = _maps(_trained(model).switch_to_deploy(), x)
    other = _build(case, deploy=True)[0]
    assert other.is_deployed
    other.load_state_dict(model.state_dict(), strict=True)
    assert all(torch.equal(a, b) for a, b in zip(_maps(other.eval(), x), expected))


@pytest.mark.parametrize('whole', [False, True])
def test_wrong_form_of_checkpoint_is_named(whole, tmp_path):

    def build(**kwargs):
        backbone = _build('image', **kwargs)[0]
        return nn.Sequential(OrderedDict(backbone=backbone)) if whole else backbone

    folded, plain = build(deploy=True), build()
    before = {name: tensor.clone() for name, tensor in plain.state_dict().items()}

    def load_file(model, state):
        torch.save(state, tmp_path / 'weights.pth')
        load(model, tmp_path / 'weights.pth')

    for load_state in (lambda model, state: model.load_state_dict(state, strict=False), load_state_dict, load_file):
        with pytest.raises(CheckpointError, match='checkpoint is deployed.*the model is not.*deploy=True'):
            load_state(plain, folded.state_dict())
        with pytest.raises(CheckpointError, match='model is deployed.*the checkpoint is not.*switch_to_deploy'):
            load_state(folded, plain.state_dict())
    assert all(torch.equal(tensor, before[name]) for name, tensor in plain.state_dict().items())


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
def test_folded_weights_load_into_a_folded_model(tmp_path, prefix):
    (model, x), (other, _) = _build('image'), _build('image', deploy=True)
    _trained(model).switch_to_deploy()
    file = tmp_path / 'folded.pth'
    torch.save({prefix + name: tensor for name, tensor in model.state_dict().items()}, file)
    load(other, file, strict=True)
    _assert_equal(_maps(other.eval(), x), _maps(model, x), 1e-6)


def test_folded_weights_have_no_official_form():
    model, _ = _build('image')
    with pytest.raises(CheckpointError, match='deployed .*no such form'):
        to_official(model.eval().switch_to_deploy().state_dict())


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='PyTorch without oneDNN')
def test_bfloat16_on_a_processor_without_it():
    code = ('import torch; from mmuniformer.models import UniFormer\n'
            f'model = UniFormer(dict({TINY}, conv_stem=True)).eval().switch_to_deploy()\n'
            'with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):\n'
            '    print(model(torch.rand(1, 3, 64, 64))[-1].isfinite().all().item())')
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True,
                            env={**os.environ, 'ONEDNN_MAX_CPU_ISA': 'AVX2'})
    assert result.stdout.strip() == 'True', result.stderr


def test_weights_loaded_and_then_folded(tmp_path):
    trained, x = _build('video')
    torch.save(_trained(trained).state_dict(), tmp_path / 'weights.pth')
    model = _build('video')[0]
    load(model, tmp_path / 'weights.pth')
    _assert_equal(_maps(model.eval().switch_to_deploy(), x), _maps(trained, x))


def test_deployed_with_init_cfg_is_refused():
    with pytest.raises(ValueError, match='init_cfg'):
        UniFormer(TINY, deploy=True, init_cfg=dict(type='Pretrained', checkpoint='x.pth'))


def test_a_norm_without_statistics_is_refused():
    model = _build('image', norm_cfg=dict(type='BN', track_running_stats=False))[0]
    with pytest.raises(ValueError, match='no running statistics'):
        model.switch_to_deploy()


def test_runs_compiled_exported_and_in_half_precision():
    model, x = _build('image, hybrid')
    expected = _maps(_trained(model), x)
    model.switch_to_deploy()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    torch.testing.assert_close(_maps(compiled, x), expected, rtol=1e-4, atol=1e-4)
    program = torch.export.export(model, (x, ))
    torch.testing.assert_close(_maps(program.module(), x), expected, rtol=1e-4, atol=1e-4)
    with torch.autocast('cpu', torch.bfloat16):
        _assert_equal([m.float() for m in _maps(model, x)], expected, 0.1)
