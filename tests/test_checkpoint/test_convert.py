"""Whole models between the official names and those of the frameworks, by the tool's own command line."""
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.runner import load_checkpoint

from mmuniformer.checkpoint import CheckpointError, load
from mmuniformer.checkpoint.convert import to_mm, to_official

from .conftest import classifier, image_backbone, randomized, same, video_backbone, weights

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'tools' / 'model_converters' / 'convert.py'
IMAGE_FIXTURES = ['image_cls', 'image_cls_conv_stem', 'image_cls_layer_scale']
VIDEO_FIXTURES = {'video_joint': {}, 'video_split': dict(attention='divided'), 'video_std': dict(temporal_kernel=3)}


def convert(*args):
    return subprocess.run([sys.executable, str(TOOL), *map(str, args)], capture_output=True, text=True, timeout=300,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)})


def _arch(meta):
    return dict(depths=meta['depth'], embed_dims=meta['embed_dim'], head_dim=meta['head_dim'],
                conv_stem=meta.get('conv_stem', False), layer_scale=1e-6 if meta.get('layer_scale') else None)


def _image_classifier(meta):
    from mmpretrain.registry import MODELS
    return MODELS.build(dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmuniformer.UniFormer', arch=_arch(meta), out_norm='BN', out_indices=(3, )),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=meta['num_classes'],
                  in_channels=meta['embed_dim'][-1])))


def _recognizer(meta, **kwargs):
    from mmaction.registry import MODELS
    return MODELS.build(dict(
        type='mmaction.Recognizer3D',
        data_preprocessor=dict(type='mmaction.ActionDataPreprocessor'),
        backbone=dict(type='mmuniformer.UniFormer3D', arch=_arch(meta), **kwargs),
        cls_head=dict(type='mmaction.I3DHead', num_classes=meta['num_classes'], in_channels=meta['embed_dim'][-1],
                      spatial_type='avg')))


def _assert_official_numbers(logits, data):
    assert (logits - data['output']).abs().max() < 1e-5 * data['output'].abs().max()


@pytest.mark.parametrize('name', IMAGE_FIXTURES)
def test_official_image_classifier(shared, save, name):
    data = torch.load(shared / 'parity' / f'{name}.pt', weights_only=True)
    converted = to_mm({'model': data['state_dict']})
    assert converted.kind == 'MMPretrain' and not converted.left_out
    path = save(converted.content)
    model = _image_classifier(data['meta']).eval()
    load_checkpoint(model, str(path), map_location='cpu', strict=True)  # MMEngine's own, as `load_from` does
    with torch.no_grad():
        _assert_official_numbers(model(data['input'], mode='tensor'), data)
    back = to_official({'meta': {}, 'state_dict': model.state_dict()})
    assert back.kind == 'official image' and same(back.content['model'], data['state_dict'])


@pytest.mark.parametrize('name', VIDEO_FIXTURES)
def test_official_video_classifier(shared, save, name):
    data = torch.load(shared / 'parity' / f'{name}.pt', weights_only=True)
    converted = to_mm(data['state_dict'])
    assert converted.kind == 'MMAction2' and not converted.left_out
    path = save(converted.content)
    model = _recognizer(data['meta'], **VIDEO_FIXTURES[name]).eval()
    load_checkpoint(model, str(path), map_location='cpu', strict=True)
    with torch.no_grad():
        _assert_official_numbers(model(data['input'].unsqueeze(1), stage='head', mode='tensor'), data)
    back = to_official({'meta': {}, 'state_dict': model.state_dict()})
    assert back.kind == 'official video' and same(back.content, data['state_dict'])


def test_command_line_there_and_back(save, tmp_path):
    state = classifier(image_backbone())
    source, mm, official = save({'model': state}, 'a.pth'), tmp_path / 'new' / 'mm.pth', tmp_path / 'official.pth'
    done = convert(source, mm, '--to', 'mm')
    assert done.returncode == 0, done.stderr
    assert f'{source} (official image under `model`) -> {mm} (MMPretrain)' in done.stdout
    assert sorted(torch.load(mm, weights_only=True)) == ['meta', 'state_dict']
    done = convert(mm, official, '--to', 'official')
    assert done.returncode == 0, done.stderr
    assert f'{mm} (MMPretrain under `state_dict`) -> {official} (official image)' in done.stdout
    assert same(torch.load(official, weights_only=True)['model'], state)


def test_command_line_errors(save, tmp_path, capsys):
    main = runpy.run_path(str(TOOL))['main']

    def fails(*args):
        assert main([str(arg) for arg in args]) == 1
        printed = capsys.readouterr()
        assert printed.err.startswith('error: ') and not printed.out
        return printed.err

    assert 'no such file' in fails(tmp_path / 'none.pth', tmp_path / 'b.pth', '--to', 'mm')
    source = save({'conv1.weight': torch.ones(1)})
    assert 'belongs to another network' in fails(source, tmp_path / 'b.pth', '--to', 'official')
    assert not (tmp_path / 'b.pth').exists()
    source = save(classifier(image_backbone()))
    before = source.read_bytes()
    assert 'is the source: write to another file' in fails(source, source, '--to', 'mm')
    assert source.read_bytes() == before


def test_token_labeling():
    state = {**classifier(image_backbone()), 'aux_head.weight': torch.ones(5, 24), 'aux_head.bias': torch.ones(5)}
    converted = to_mm({'state_dict': state})
    assert {'head.fc.weight', 'head.fc_aux.weight'} <= set(converted.content['state_dict'])
    for content in (converted.content, {'state_dict': state}):  # back, and what is official already
        back = to_official(content)
        assert same(back.content['model'], state) and not back.left_out


def test_backbone_alone():
    state = weights(video_backbone())
    assert same(to_official({'state_dict': {f'backbone.{name}': t for name, t in state.items()}}).content, state)


def test_what_the_release_has_no_name_for():
    state = {f'backbone.{name}': tensor for name, tensor in weights(image_backbone()).items()}
    state.update({'head.fc.weight': torch.ones(5, 24), 'head.extra.weight': torch.ones(1)})
    converted = to_official({'state_dict': state})
    assert converted.left_out == ('head.extra.weight', )
    assert 'head.weight' in converted.content['model']


def test_pose():
    """Old MMPose's head is named `keypoint_head`; the class names in `meta` stay."""
    state = weights(image_backbone(out_norm='LN', out_indices=(0, 1, 2, 3)), 'backbone.',
                    keypoint_head__deconv_layers__0__weight=torch.randn(24, 4, 4, 4),
                    keypoint_head__deconv_layers__1__weight=torch.randn(4),
                    keypoint_head__final_layer__weight=torch.randn(17, 4, 1, 1))
    converted = to_mm({'meta': {'epoch': 210}, 'state_dict': state})
    assert converted.kind == 'MMPose'
    assert {'head.deconv_layers.0.weight', 'head.final_layer.weight'} <= set(converted.content['state_dict'])
    assert converted.content['meta']['epoch'] == 210
    back = to_official(converted.content)
    assert back.kind == 'official pose' and same(back.content['state_dict'], state)


@pytest.mark.parametrize('heads', [
    dict(neck__lateral_convs__0__conv__weight=torch.ones(1), roi_head__bbox_head__fc_cls__weight=torch.ones(1)),
    dict(decode_head__conv_seg__weight=torch.ones(1), auxiliary_head__convs__0__conv__weight=torch.ones(1)),
])
def test_dense_tasks_keep_their_names(heads):
    state = weights(image_backbone(out_norm='LN', out_indices=(0, 1, 2, 3)), 'backbone.', **heads)
    content = {'meta': {'CLASSES': ('cat', 'dog')}, 'state_dict': state}
    for converted in (to_mm(content), to_official(content)):
        assert same(converted.content['state_dict'], state)
        assert converted.content['meta']['CLASSES'] == ('cat', 'dog') and not converted.left_out


def test_not_a_uniformer():
    with pytest.raises(CheckpointError, match='belongs to another network'):
        to_mm({'model': {'layer1.weight': torch.ones(1)}})


def test_converted_and_loaded_directly_are_the_same(save):
    """The two ways to a whole model of a framework agree."""
    meta = dict(depth=(1, 2, 2, 1), embed_dim=(8, 16, 16, 24), head_dim=8, num_classes=5)
    state = classifier(video_backbone())
    direct = randomized(_recognizer(meta))
    load(direct, save(state), strict=True)
    assert same(to_mm(state).content['state_dict'], direct.state_dict())
