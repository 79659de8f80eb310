"""Parameters and FLOPs against the papers' and the release's figures (one multiply-add is one FLOP)."""
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mmuniformer.analysis import bare_model, by_stage, count, example_inputs

ROOT = Path(__file__).parents[2]
TOLERANCE = 5e-3


def _counted(arch, shape, attention=None, num_classes=0):
    with torch.device('meta'):  # initial values take longer than the count
        model = bare_model(arch, shape, attention, num_classes)
        inputs, options = example_inputs(model, shape)
    return model, count(model, *inputs, **options)


def _run(tool, *args):
    return subprocess.run([sys.executable, ROOT / 'tools' / 'analysis_tools' / tool, *map(str, args)],
                          capture_output=True, text=True, cwd=ROOT)


# ---------------------------------------------------------------- published figures
# What fvcore counts on the official code: arch, side, parameters in millions, GFLOPs.
CLASSIFIERS = [
    ('small', 224, 21.55, 3.64), ('small', 384, 21.55, 11.87),
    ('small_plus', 224, 24.03, 4.21), ('small_plus', 384, 24.03, 13.68),
    ('base', 224, 49.78, 8.27), ('base', 384, 49.78, 27.21),
    ('large', 224, 99.43, 19.72), ('large', 384, 99.43, 62.79),
]


@pytest.mark.parametrize('arch, side, params, gflops', CLASSIFIERS)
def test_image_classifiers(arch, side, params, gflops):
    _, counted = _counted(arch, (3, side, side), num_classes=1000)
    assert counted.params / 1e6 == pytest.approx(params, rel=TOLERANCE)
    assert counted.flops / 1e9 == pytest.approx(gflops, rel=TOLERANCE)


@pytest.mark.parametrize('arch, side, params, gflops', [
    ('xxs', 128, 10.22, 0.43), ('xxs', 160, 10.22, 0.66), ('xxs', 192, 10.22, 0.96), ('xxs', 224, 10.22, 1.31),
    ('xs', 192, 16.51, 1.42), ('xs', 224, 16.51, 1.94),
])
def test_light_classifiers(arch, side, params, gflops):
    model, counted = _counted(arch, (3, side, side), num_classes=1000)
    # The release counts its auxiliary head and the norm before it, which only training uses.
    auxiliary = (model.head.in_features + 1) * 1000 + 2 * model.head.in_features
    assert (counted.params + auxiliary) / 1e6 == pytest.approx(params, rel=TOLERANCE)
    assert counted.flops / 1e9 == pytest.approx(gflops, abs=5e-3)  # two decimals are known


@pytest.mark.parametrize('arch, frames, gflops', [
    ('small', 8, 17.61), ('small', 16, 41.76), ('small', 32, 109.63),
    ('base', 8, 40.23), ('base', 16, 96.74), ('base', 32, 258.63),
])
def test_video_classifiers(arch, frames, gflops):
    _, counted = _counted(arch, (3, frames, 224, 224), num_classes=400)
    assert counted.params / 1e6 == pytest.approx({'small': 21.40, 'base': 49.81}[arch], rel=TOLERANCE)
    assert counted.flops / 1e9 == pytest.approx(gflops, rel=TOLERANCE)


DENSE = {
    (800, 1280): dict(small=(155.21, 80.32, 99.04), base=(370.44, 183.21, 230.01)),
    (1008, 1008): dict(small=(152.85, 80.17, 98.34), base=(None, 183.07, 228.50)),
    (512, 2048): dict(small=(161.03, 86.87, 105.41), base=(384.54, 199.15, 245.50)),
    (256, 192): dict(small=(3.57, 4.43, 4.21), base=(8.09, 10.24, 9.71)),
}


@pytest.mark.parametrize('size', DENSE)
@pytest.mark.parametrize('arch', ['small', 'base'])
@pytest.mark.parametrize('column, attention', enumerate(('global', 'window', 'hybrid')))
def test_dense_backbones(size, arch, column, attention):
    gflops = DENSE[size][arch][column]
    if gflops is None:
        pytest.skip('no published figure')
    _, counted = _counted(arch, (3, *size), attention)
    assert counted.params / 1e6 == pytest.approx({'small': 21.03, 'base': 49.26}[arch], rel=TOLERANCE)
    assert counted.flops / 1e9 == pytest.approx(gflops, rel=TOLERANCE)


def test_stage_3_products_dominate_large_images():
    """Paper, Fig. 4: at 1008 x 1008 over half of all FLOPs, and 28 times those of stage 4."""
    model, counted = _counted('small', (3, 1008, 1008), 'global')
    stages = by_stage(model, counted)
    third, fourth = (stages[i].kinds['matmul'] for i in (2, 3))
    assert third / counted.flops > 0.5
    assert third / fourth == pytest.approx(28, rel=0.05)
    assert (third + fourth) / 1e9 == pytest.approx(83.49, rel=0.05)


# ---------------------------------------------------------------- the count itself
def test_parts_sum_to_the_whole():
    model, counted = _counted('small', (3, 8, 64, 64), num_classes=400)
    parts = by_stage(model, counted)
    assert [part.name for part in parts] == ['stage 1', 'stage 2', 'stage 3', 'stage 4', 'head']
    assert sum(part.flops for part in parts) == counted.flops
    assert sum(part.params for part in parts) == counted.params


def test_fused_attention_counts_both_products():
    class Fused(nn.Module):

        def forward(self, q, k, v):
            return nn.functional.scaled_dot_product_attention(q, k, v)

    q, k, v = torch.rand(2, 3, 7, 4), torch.rand(2, 3, 9, 4), torch.rand(2, 3, 9, 5)
    assert count(Fused(), q, k, v).kinds == {'matmul': 2 * 3 * 7 * 9 * (4 + 5)}


def test_counts_what_runs_on_values_only():
    class DataDependent(nn.Module):

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 8)

        def forward(self, x):
            return self.linear(x[x.sum(1) > 0])

    model = DataDependent().train()
    x = torch.tensor([[1., 1, 1, 1], [-1, -1, -1, -1], [1, 0, 0, 0]])
    assert count(model, x).flops == 2 * 4 * 8
    assert model.training, 'the model is left as it was'


# ---------------------------------------------------------------- the commands
def test_command_with_a_config():
    config = 'configs/recognition/uniformer/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py'
    done = _run('get_flops.py', config, '--by-stage')
    assert done.returncode == 0, done.stderr
    assert 'Flops: 41.76 G' in done.stdout and 'Params: 21.40 M' in done.stdout
    assert 'Input shape: (1, 3, 16, 224, 224)' in done.stdout and 'stage 3' in done.stdout


@pytest.mark.parametrize('args, message', [
    (['--arch', 'tiny'], "unknown arch 'tiny': choose one of small"),
    (['nowhere.py'], 'no config file nowhere.py'),
    (['--arch', 'small', '--shape', '0'], 'positive numbers'),
    (['--arch', 'small', '--shape', '16'], 'at least 32'),
    ([], 'give either a config file or --arch'),
])
def test_wrong_arguments_give_one_line(args, message):
    done = _run('get_flops.py', *args)
    assert done.returncode != 0 and message in done.stderr
    assert 'Traceback' not in done.stderr


def test_figure_of_stages(tmp_path):
    done = _run('stage_flops.py', '--resolutions', 224, 1008, '--out', tmp_path / 'stages.png')
    assert done.returncode == 0, done.stderr
    assert '152.85' in done.stdout
    assert (tmp_path / 'stages.png').read_bytes().startswith(b'\x89PNG')
