"""The benchmark: its plain network equals ours, and it prints and writes what it measured."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from mmuniformer.analysis.peers import PEERS, as_peer, largest_difference
from mmuniformer.analysis.plain import Plain
from mmuniformer.analysis.timing import Ratio, inference, interleaved, ratio, training
from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D

ROOT = Path(__file__).resolve().parents[2]
TINY = dict(depths=[1, 2, 4, 1], embed_dims=[16, 32, 48, 64], head_dim=16)
SCALED = dict(TINY, conv_stem=True, layer_scale=0.1)
CASES = {
    'image': (UniFormer, dict(arch=SCALED), (2, 3, 64, 96)),
    'image, hybrid': (UniFormer, dict(arch=TINY, attention='hybrid', window_size=3), (2, 3, 64, 96)),
    'video': (UniFormer3D, dict(arch=TINY), (2, 3, 4, 64, 64)),
    'light image': (UniFormerLight, dict(arch=SCALED), (2, 3, 64, 96)),
    'light video': (UniFormerLight3D, dict(arch=TINY), (2, 3, 4, 64, 64)),
}


@pytest.mark.parametrize('case', CASES)
def test_plain_network_has_the_same_maps_and_gradients(case):
    cls, kwargs, shape = CASES[case]
    backbone, x = cls(**kwargs).double(), torch.randn(shape, dtype=torch.float64)
    peer = Plain(backbone)
    outputs = [model.train()(x) for model in (backbone, peer)]
    assert largest_difference(*outputs) < 1e-10
    for output in outputs:
        maps = output if isinstance(output, tuple) else (output, )
        sum((m * torch.arange(m.numel()).view(m.shape).cos()).sum() for m in maps).backward()
    for stage in (1, 2, 3, 4):
        ours = getattr(backbone, f'blocks{stage}')[0].mlp.fc1.weight.grad
        theirs = getattr(peer.net, f'blocks{stage}')[0].mlp.fc1.weight.grad
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize('name', PEERS)
def test_every_peer_runs_and_takes_a_training_step(name):
    cls, kwargs, _ = CASES['image' if name == 'swin-t' else 'video']
    x = torch.randn(1, 3, 64, 64) if name == 'swin-t' else torch.randn(1, 3, 16, 56, 56)
    peer = as_peer(name, cls(**kwargs).train())
    before = [parameter.detach().clone() for parameter in peer.parameters()]
    inference(peer, x, torch.float32)()
    training(peer, x, torch.float32)()
    assert any((now != then).any() for now, then in zip(peer.parameters(), before))


def test_plain_network_of_what_has_none_is_refused():
    for backbone in (UniFormer3D(TINY, attention='divided'), UniFormer(TINY).switch_to_deploy()):
        with pytest.raises(ValueError, match='no plain form'):
            Plain(backbone)


def test_runs_are_interleaved_and_the_longer_one_takes_longer():
    order = []

    def run(name, seconds):
        order.append(name)
        time.sleep(seconds)

    seconds = interleaved(dict(a=lambda: run('a', 0.02), b=lambda: run('b', 0.06)), warmup=1, repeats=4)
    assert ''.join(order) == 'ab' + 'abbaabba'
    assert len(seconds['a']) == len(seconds['b']) == 4
    assert 1.5 < ratio(seconds['b'], seconds['a']).median < 4.5


def test_ratio_is_taken_within_repeats():
    assert ratio([2., 20., 200., 2000.], [1., 10., 100., 1000.]) == Ratio(2., 2., 2.)
    assert ratio([3.], [1.]) == Ratio(3., 3., 3.)


def test_a_training_step_trains_and_inference_does_not():
    model, x = nn.Linear(4, 4), torch.ones(1, 4)
    before = model.weight.detach().clone()
    inference(model, x, torch.float32)()
    assert torch.equal(model.weight, before)
    training(model, x, torch.bfloat16)()
    assert not torch.equal(model.weight, before) and model.weight.grad is None


def _run(*options):
    env = dict(os.environ, CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    command = [sys.executable, str(ROOT / 'tools/analysis_tools/benchmark.py'), *map(str, options)]
    return subprocess.run(command, env=env, text=True, capture_output=True, timeout=300)


@pytest.mark.skipif(sys.platform != 'linux', reason='memory on the CPU is read from /proc')
def test_tool_against_the_plain_network(tmp_path):
    done = _run('--arch', 'xxs', '--shape', 224, '--batch-size', 2, '--peer', 'plain', '--repeats', 2, '--threads', 1,
                '--train', '--json', tmp_path / 'out.json')
    assert done.returncode == 0, done.stderr
    assert 'training, input (2, 3, 224, 224), float32' in done.stdout
    assert 'plain takes' in done.stdout and 'of its memory' in done.stdout
    result = json.loads((tmp_path / 'out.json').read_text())
    assert set(result['throughput']) == {'ours', 'plain'}
    assert all(len(values) == 2 and min(values) > 0 for values in result['all_seconds'].values())
    assert 0 < result['share_of_peak'] < 1.5
    assert result['least_seconds'] >= result['flops'] / result['peak_flops_per_second']
    assert result['least_seconds'] >= result['bytes'] / result['peak_bytes_per_second']
    assert result['bytes'] > 4 * 10e6 and 'of the roofline' in done.stdout  # 10 million parameters
    # Ours keeps no attention matrices.
    assert 2**24 < result['memory']['ours'] < result['memory']['plain']


def test_tool_times_the_backbone_of_a_config_folded(tmp_path):
    config = tmp_path / 'model.py'
    config.write_text("model = dict(type='mmuniformer.UniFormer', arch=dict(depths=[1, 1, 1, 1], "
                      'embed_dims=[16, 32, 48, 64], head_dim=16))\n')
    done = _run(config, '--shape', 64, '--deploy', '--peer', 'plain', '--repeats', 1, '--no-memory')
    assert done.returncode == 0, done.stderr
    assert 'inference, input (1, 3, 64, 64)' in done.stdout and 'largest difference of the maps' in done.stdout


def test_tool_shows_which_operators_take_the_time(tmp_path):
    done = _run('--arch', 'small', '--shape', 64, '--profile', '--repeats', 1, '--no-memory', '--json',
                tmp_path / 'out.json')
    assert done.returncode == 0, done.stderr
    operators = json.loads((tmp_path / 'out.json').read_text())['operators']
    shares = [operator['share'] for operator in operators]
    assert sum(shares) == pytest.approx(1) and shares == sorted(shares, reverse=True)
    # One call a global block, of 8 and 3, and not a matrix of affinities.
    calls = {operator['name']: operator['calls'] for operator in operators}
    assert calls['aten::_scaled_dot_product_flash_attention_for_cpu'] == 11
    assert 'aten::_softmax' not in calls
    assert f'{shares[0]:.1%}' in done.stdout and operators[0]['name'] in done.stdout


@pytest.mark.parametrize('options, message', [
    (['--arch', 'small', '--peer', 'video-swin-t'], 'is for videos'),
    (['--arch', 'tiny'], "unknown arch 'tiny': choose one of small, small_plus, base, large, xxs, xs"),
    (['--arch', 'xxs', '--attention', 'window'], "leave attention='window' out for xxs"),
    (['gone.py'], 'no config file gone.py'),
    (['--arch', 'small', '--train', '--deploy'], 'can not be trained'),
])
def test_wrong_options_are_named(options, message):
    done = _run(*options, '--no-memory')
    assert done.returncode != 0
    assert message in done.stderr.strip().splitlines()[-1]
