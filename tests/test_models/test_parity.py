"""Numbers of the official release, on small random models."""
import pytest
import torch

from mmuniformer.checkpoint import load
from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D

TOLERANCE = 1e-5  # of the output's largest magnitude, float32


def _fixture(shared, name):
    return torch.load(shared / 'parity' / f'{name}.pt', weights_only=True)


def _arch(meta):
    return dict(
        depths=meta['depth'],
        embed_dims=meta['embed_dim'],
        head_dim=meta['head_dim'],
        mlp_ratio=meta['mlp_ratio'],
        conv_stem=meta.get('conv_stem', False),
        layer_scale=1e-6 if meta.get('layer_scale') else None)


def _light_arch(meta):
    return dict(_arch(meta), mlp_ratio=meta['mlp_ratio'][0], keep_ratios=meta['prune_ratio'][2:])


def _run(model, data, **kwargs):
    """Load the fixture's weights and compute its output maps."""
    load(model, data['path'], **kwargs)
    model.eval()
    with torch.no_grad():
        return model(data['input'])


@pytest.fixture
def fixture(shared, tmp_path):

    def get(name):
        data = _fixture(shared, name)
        data['path'] = str(tmp_path / f'{name}.pth')
        torch.save(data['state_dict'], data['path'])
        return data

    return get


def _assert_equal(ours, expected):
    difference = (ours - expected).abs().max() / expected.abs().max()
    assert difference < TOLERANCE, f'largest difference {difference:.2e} of the largest magnitude'


@pytest.mark.parametrize('name', ['image_cls', 'image_cls_conv_stem', 'image_cls_layer_scale',
                                  'image_cls_token_labeling'])
def test_image_classifier(fixture, name):
    data = fixture(name)
    weights = data['state_dict']
    tokens = _run(UniFormer(_arch(data['meta']), out_norm='BN', out_indices=(3, )), data)[0].flatten(2)
    logits = tokens.mean(-1) @ weights['head.weight'].T + weights['head.bias']
    if 'aux_head.weight' in weights:
        votes = tokens.transpose(1, 2) @ weights['aux_head.weight'].T + weights['aux_head.bias']
        logits = logits + 0.5 * votes.amax(1)
    _assert_equal(logits, data['output'])


@pytest.mark.parametrize('name, attention', [('dense_global', 'global'), ('dense_window', 'window'),
                                             ('dense_hybrid', 'hybrid')])
def test_dense_backbone(fixture, name, attention):
    data = fixture(name)
    window_size = data['meta'].get('window_size', 14)
    maps = _run(UniFormer(_arch(data['meta']), attention=attention, window_size=window_size), data)
    assert len(maps) == 4
    for ours, expected in zip(maps, data['output']):
        _assert_equal(ours, expected)


def test_pose_backbone(fixture):
    data = fixture('pose_global')
    maps = _run(UniFormer(_arch(data['meta']), out_indices=(3, )), data)
    _assert_equal(maps[0], data['output'])


@pytest.mark.parametrize('name, kwargs', [('video_joint', {}), ('video_split', dict(attention='divided')),
                                          ('video_std', dict(temporal_kernel=3))])
def test_video_classifier(fixture, name, kwargs):
    data = fixture(name)
    weights = data['state_dict']
    tokens = _run(UniFormer3D(_arch(data['meta']), **kwargs), data).flatten(2)
    _assert_equal(tokens.mean(-1) @ weights['head.weight'].T + weights['head.bias'], data['output'])


@pytest.mark.parametrize('inflation', ['mean', 'center'])
@pytest.mark.parametrize('through', ['argument of load', 'argument of the backbone'])
def test_inflated_image_weights(fixture, inflation, through):
    data = fixture(f'inflate_{inflation}')
    if through == 'argument of load':
        output = _run(UniFormer3D(_arch(data['meta'])), data, inflation=inflation)
    else:
        output = _run(UniFormer3D(_arch(data['meta']), inflation=inflation), data)
    _assert_equal(output, data['output'])


def test_light_image_classifier(fixture):
    data = fixture('light_image_cls')
    tokens = _run(UniFormerLight(_light_arch(data['meta']), out_norm='BN', out_indices=(3, )), data)[0].flatten(2)
    weights = data['state_dict']
    _assert_equal(tokens.mean(-1) @ weights['head.weight'].T + weights['head.bias'], data['output'])


def test_light_dense_backbone(fixture):
    data = fixture('light_dense')
    maps = _run(UniFormerLight(_light_arch(data['meta'])), data)
    assert len(maps) == 4
    for ours, expected in zip(maps, data['output']):
        _assert_equal(ours, expected)


@pytest.mark.parametrize('name', ['light_video', 'light_video_layer_scale'])
def test_light_video_classifier(fixture, name):
    data = fixture(name)
    tokens = _run(UniFormerLight3D(_light_arch(data['meta'])), data).flatten(2)
    weights = data['state_dict']
    _assert_equal(tokens.mean(-1) @ weights['head.weight'].T + weights['head.bias'], data['output'])
