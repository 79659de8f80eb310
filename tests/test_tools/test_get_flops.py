"""Parameters and FLOPs against the papers' and the release's figures (one multiply-add is one FLOP)."""
import runpy
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.pyplot import imread
from mmengine import Config
from mmengine.analysis import FlopAnalyzer
from torch import nn

from mmuniformer.analysis import bare_model, by_stage, count, default_shape, example_inputs
from mmuniformer.analysis.bare import Classifier
from mmuniformer.models import UniFormer, UniFormer3D

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


def _run_here(tool, *args, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [tool, *args])
    runpy.run_path(str(ROOT / 'tools' / 'analysis_tools' / tool), run_name='__main__')


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


# Four maps, without a head: size, arch, and GFLOPs for stage 3 global, in windows of 14, hybrid.
DENSE = [
    ((800, 1280), 'small', dict(global_=155.21, window=80.32, hybrid=99.04)),
    ((800, 1280), 'base', dict(global_=370.44, window=183.21, hybrid=230.01)),
    ((1008, 1008), 'small', dict(global_=152.85, window=80.17, hybrid=98.34)),
    ((1008, 1008), 'base', dict(window=183.07, hybrid=228.50)),
    ((512, 2048), 'small', dict(global_=161.03, window=86.87, hybrid=105.41)),
    ((512, 2048), 'base', dict(global_=384.54, window=199.15, hybrid=245.50)),
    ((256, 192), 'small', dict(global_=3.57, window=4.43, hybrid=4.21)),
    ((256, 192), 'base', dict(global_=8.09, window=10.24, hybrid=9.71)),
]


@pytest.mark.parametrize('size, arch, attention, gflops', [(size, arch, attention.rstrip('_'), gflops)
                                                           for size, arch, row in DENSE
                                                           for attention, gflops in row.items()])
def test_dense_backbones(size, arch, attention, gflops):
    _, counted = _counted(arch, (3, *size), attention)
    assert counted.params / 1e6 == pytest.approx({'small': 21.03, 'base': 49.26}[arch], rel=TOLERANCE)
    assert counted.flops / 1e9 == pytest.approx(gflops, rel=TOLERANCE)


def test_stage_3_products_dominate_large_images():
    """Paper, Fig. 4: at 1008 x 1008 over half of all FLOPs, and 28 times those of stage 4."""
    model, counted = _counted('small', (3, 1008, 1008), 'global')
    stages = by_stage(model, counted)
    third, fourth = (stages[i].kinds['matmul'] for i in (2, 3))
    assert third / counted.flops > 0.5
    assert round(third / fourth) == 28
    assert (third + fourth) / 1e9 == pytest.approx(83.49, rel=TOLERANCE)


# ---------------------------------------------------------------- the count itself
def test_parts_sum_to_the_whole():
    model, counted = _counted('small', (3, 8, 64, 64), num_classes=400)
    parts = by_stage(model, counted)
    assert [part.name for part in parts] == ['stage 1', 'stage 2', 'stage 3', 'stage 4', 'head']
    assert sum(part.flops for part in parts) == counted.flops
    assert sum(part.params for part in parts) == counted.params


TINY = dict(depths=(1, 1, 4, 1), embed_dims=(16, 24, 32, 64), head_dim=16)


@pytest.mark.parametrize('backbone, size', [
    (partial(UniFormer, TINY, attention='hybrid'), (96, 64)),
    (partial(UniFormer, dict(TINY, conv_stem=True, layer_scale=1e-6)), (64, 64)),
    (partial(UniFormer3D, TINY), (4, 64, 64)),
    (partial(UniFormer3D, TINY, attention='divided', temporal_kernel=3), (4, 64, 64)),
])
def test_equal_to_fvcore(backbone, size):
    """MMEngine's copy of fvcore's counter, told what the fused attention does, counts each kind the same."""
    model = Classifier(backbone(out_indices=(3, ), out_norm='BN'), 10).eval()
    inputs, options = example_inputs(model, (3, *size))
    with torch.no_grad():
        theirs = FlopAnalyzer(model, inputs).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        theirs.set_op_handle('aten::scaled_dot_product_attention', _fused_attention_of_a_trace)
        theirs = theirs.by_operator()
    ours = count(model, *inputs, **options).kinds
    assert ours == {
        'conv': theirs['conv'],
        'linear': theirs['linear'],
        'matmul': theirs['attention'],
        'norm': theirs['batch_norm'] + theirs['layer_norm']
    }
    assert sum(ours.values()) == sum(theirs.values())


def _fused_attention_of_a_trace(inputs, outputs):
    (batch, heads, queries, dim), (_, _, keys, _) = (value.type().sizes() for value in inputs[:2])
    return Counter(attention=2 * batch * heads * queries * keys * dim)


def test_equal_to_fvcore_around_a_backbone():
    """What stands in necks and heads: transposed and grouped convolutions, other norms, pooling, interpolation."""
    model = nn.Sequential(
        nn.Conv2d(8, 12, 3, groups=4), nn.ConvTranspose2d(12, 6, 4, stride=2, groups=2), nn.GroupNorm(3, 6),
        nn.BatchNorm2d(6, affine=False), nn.Upsample(scale_factor=2), nn.Upsample(scale_factor=2, mode='bilinear'),
        nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, 5, bias=False), nn.LayerNorm(5, elementwise_affine=False))
    x = torch.rand(2, 8, 9, 7)
    with torch.no_grad():
        theirs = FlopAnalyzer(model.eval(), (x, )).unsupported_ops_warnings(False)
        assert count(model, x).flops == theirs.total()
        assert count(model, x).modules['1'] == {'conv': theirs.by_module()['1']}


def test_multi_head_attention_hides_nothing():
    tokens, dim = 7, 8
    model = nn.MultiheadAttention(dim, 2, batch_first=True).eval()
    x = torch.rand(3, tokens, dim)
    kinds = count(model, x, x, x).kinds
    assert kinds == {'linear': 3 * tokens * 4 * dim * dim, 'matmul': 3 * 2 * tokens * tokens * dim}
    assert torch.backends.mha.get_fastpath_enabled()


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

    model = DataDependent()
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


def test_command_with_a_config_of_ones_own(tmp_path):
    """No data sets, SyncBN without processes, and a setting changed."""
    config = tmp_path / 'mine.py'
    config.write_text("""
default_scope = 'mmaction'
custom_imports = dict(imports=['mmuniformer'], allow_failed_imports=False)
model = dict(
    type='Recognizer3D',
    backbone=dict(type='mmuniformer.UniFormer3D', arch='small', norm_cfg=dict(type='SyncBN')),
    cls_head=dict(type='I3DHead', in_channels=512, num_classes=400))
""")
    done = _run('get_flops.py', config, '--shape', 3, 8, 224, 224, '--cfg-options', 'model.cls_head.num_classes=10')
    assert done.returncode == 0, done.stderr
    assert 'Flops: 17.61 G' in done.stdout and 'Params: 21.20 M' in done.stdout


@pytest.mark.parametrize('cfg, shape', [
    (dict(default_scope='mmdet'), (3, 800, 1280)),
    (dict(default_scope='mmseg'), (3, 512, 2048)),
    (dict(default_scope='mmpose', codec=dict(input_size=(192, 256))), (3, 256, 192)),
    (dict(default_scope='mmpretrain', val_dataloader=dict(dataset=dict(pipeline=[dict(crop_size=(96, 64))]))),
     (3, 96, 64)),
    (dict(default_scope='mmaction', val_dataloader=dict(
        dataset=dict(pipeline=[dict(clip_len=8), dict(crop_size=112)]))), (3, 8, 112, 112)),
    # The last one counts; a Resize that keeps the ratio, MMAction2's without the argument, tells nothing.
    (dict(default_scope='mmaction', val_dataloader=dict(dataset=dict(pipeline=[
        dict(clip_len=4), dict(type='CenterCrop', crop_size=128),
        dict(type='Resize', scale=(96, 64), keep_ratio=False), dict(type='Resize', scale=(80, 80))]))),
     (3, 4, 64, 96)),
    (dict(default_scope='mmpretrain', val_dataloader=dict(dataset=dict(pipeline=[
        dict(type='Resize', scale=48), dict(type='Resize', scale=(32, 32), keep_ratio=True)]))), (3, 48, 48)),
])
def test_default_shape(cfg, shape):
    assert default_shape(Config(cfg)) == shape


@pytest.mark.parametrize('name', ['uniformer-demo_recognition', 'uniformer-light-demo_recognition'])
def test_default_shape_of_the_demos(name):
    assert default_shape(Config.fromfile(ROOT / f'configs/demo/{name}.py')) == (3, 8, 64, 64)


@pytest.mark.parametrize('scope', ['mmaction', 'mmpretrain', 'mmpose', None])
def test_config_that_does_not_tell_its_input(scope):
    with pytest.raises(ValueError, match='give --shape'):
        default_shape(Config(dict(default_scope=scope)))


@pytest.mark.parametrize('tool, args, message', [
    ('get_flops.py', ['--arch', 'tiny'], "unknown arch 'tiny': choose one of small, small_plus, base, large, xxs, xs"),
    ('get_flops.py', ['nowhere.py'], 'no config file nowhere.py'),
    ('get_flops.py', ['--arch', 'small', '--shape', '0'], 'positive numbers'),
    ('get_flops.py', ['--arch', 'small', '--shape', '16'], 'at least 32'),
    ('get_flops.py', ['--arch', 'xxs', '--attention', 'hybrid'], "leave attention='hybrid' out for xxs"),
    ('stage_flops.py', ['--arch', 'tiny'], "unknown arch 'tiny': choose one of small"),
    ('stage_flops.py', ['--attention', 'joint'], "attention must be 'global', 'window' or 'hybrid', got 'joint'"),
])
def test_wrong_arguments_give_one_line(tool, args, message, monkeypatch):
    with pytest.raises(SystemExit) as exit_:
        _run_here(tool, *args, monkeypatch=monkeypatch)
    assert message in exit_.value.code and '\n' not in exit_.value.code


def test_needs_a_config_or_an_arch(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        _run_here('get_flops.py', monkeypatch=monkeypatch)
    assert 'give either a config file or --arch' in capsys.readouterr().err


@pytest.mark.parametrize('arch, share, ratio', [('small', '52.8%', '28.4'), ('xxs', '43.2%', '46.7')])
def test_figure_of_stages(arch, share, ratio, tmp_path, monkeypatch, capsys):
    picture = tmp_path / 'new' / 'stages.png'
    _run_here('stage_flops.py', '--arch', arch, '--resolutions', '224', '1008', '--out', str(picture),
              monkeypatch=monkeypatch)
    *_, last, path = capsys.readouterr().out.splitlines()
    assert last.split()[0] == '1008' and last.split()[7] == share and last.split()[-1] == ratio
    assert path == f'Plot: {picture}'
    pixels = imread(picture)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[-1]), axis=0)) > 20  # bars of four colours, not an empty page
