import argparse

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmuniformer.checkpoint import CheckpointError, load
from mmuniformer.checkpoint.layouts import sort_out

from .conftest import classifier, image_backbone, same, video_backbone, weights

HEAD = dict(head__weight=torch.randn(5, 24), head__bias=torch.randn(5))
LAYOUTS = {
    'official image, bare': (2, 'official image, bare', lambda sd: sd, HEAD),
    'official image': (2, 'official image under `model`', lambda sd: {'model': sd}, HEAD),
    'official image, whole training state': (
        2, 'official image under `model`', lambda sd: {
            'model': sd, 'optimizer': {'state': {0: torch.ones(3)}}, 'epoch': 299, 'max_accuracy': np.float64(82.9),
            'args': argparse.Namespace(model='uniformer_small', lr=4e-4, input_size=224)}, HEAD),
    'official token labeling': (
        2, 'official token labeling under `state_dict`', lambda sd: {'state_dict': sd, 'arch': 'uniformer_small'},
        {**HEAD, 'aux_head__weight': torch.randn(5, 24), 'aux_head__bias': torch.randn(5)}),
    'averaged weights alone': (2, 'official image under `model_ema`', lambda sd: {'model_ema': sd}, HEAD),
    'averaged weights beside the others': (
        2, 'official image under `state_dict_ema`', lambda sd: {
            'state_dict': {name: torch.full_like(tensor, 9) for name, tensor in sd.items()}, 'state_dict_ema': sd},
        HEAD),
    'no averaged weights': (2, 'official image under `model`', lambda sd: {'model': sd, 'model_ema': None}, HEAD),
    'official video, bare': (3, 'official video, bare', lambda sd: sd, HEAD),
    'official video': (3, 'official video under `model`', lambda sd: {'model': sd}, HEAD),
    'SlowFast': (3, 'official video under `model_state`', lambda sd: {
        'epoch': 99, 'model_state': sd, 'optimizer_state': {}, 'cfg': 'TRAIN:\n  ENABLE: true\n'}, HEAD),
    'MMAction2': (3, 'MMAction2 under `state_dict`', lambda sd: {'meta': {}, 'state_dict': sd},
                  dict(cls_head__fc_cls__weight=torch.randn(5, 24), cls_head__fc_cls__bias=torch.randn(5))),
    'MMEngine with a log': (3, 'MMAction2 under `state_dict`', lambda sd: {
        'meta': {'epoch': 1}, 'state_dict': sd,
        'message_hub': {'log_scalars': {'train/loss': HistoryBuffer([1., .5], [1, 1])}}},
                            dict(cls_head__fc_cls__weight=torch.randn(5, 24))),
    'MMPretrain': (2, 'MMPretrain under `state_dict`', lambda sd: {'meta': {}, 'state_dict': sd},
                   dict(head__fc__weight=torch.randn(5, 24), head__fc__bias=torch.randn(5))),
    'MMDetection': (2, 'MMDetection under `state_dict`', lambda sd: {'meta': {'CLASSES': ('a', )}, 'state_dict': sd},
                    dict(neck__lateral_convs__0__conv__weight=torch.randn(4, 8, 1, 1),
                         rpn_head__rpn_conv__weight=torch.randn(4, 4, 3, 3),
                         roi_head__bbox_head__fc_cls__weight=torch.randn(6, 4))),
    'MMSegmentation': (2, 'MMSegmentation under `state_dict`', lambda sd: {'meta': {}, 'state_dict': sd},
                       dict(decode_head__conv_seg__weight=torch.randn(5, 4, 1, 1),
                            auxiliary_head__conv_seg__weight=torch.randn(5, 4, 1, 1))),
    'MMPose 0.x': (2, 'MMPose under `state_dict`', lambda sd: {'meta': {}, 'state_dict': sd},
                   dict(keypoint_head__deconv_layers__0__weight=torch.randn(24, 4, 4, 4))),
    "MMPose's project": (2, 'MMPose under `state_dict`', lambda sd: {'meta': {}, 'state_dict': sd},
                         dict(head__final_layer__weight=torch.randn(17, 4, 1, 1))),
}
OPENMMLAB = [name for name in LAYOUTS if name.startswith('MM')]


def _file(name):
    ndim, layout, wrap, heads = LAYOUTS[name]
    model = image_backbone() if ndim == 2 else video_backbone()
    backbone = weights(model)
    prefix = 'backbone.' if name in OPENMMLAB else ''
    heads = {key.replace('__', '.'): tensor for key, tensor in heads.items()}
    state = {**{prefix + key: tensor for key, tensor in backbone.items()}, **heads}
    return ndim, layout, wrap, state, backbone, heads


@pytest.mark.parametrize('name', LAYOUTS)
@pytest.mark.parametrize('parallel', [False, True], ids=['', 'parallel'])
def test_layout(save, name, parallel):
    ndim, layout, wrap, state, backbone, heads = _file(name)
    if parallel:  # DistributedDataParallel puts this before everything
        state = {f'module.{key}': tensor for key, tensor in state.items()}
    path = save(wrap(state))
    found = sort_out(torch.load(path, weights_only=False))
    assert found.layout == layout
    assert same(found.backbone, backbone) and same(found.heads, heads)

    model = image_backbone() if ndim == 2 else video_backbone()
    report = load(model, path)
    assert same(model.state_dict(), backbone)
    assert report.layout == layout and sorted(report.skipped) == sorted(heads)
    assert not report.missing and not report.unexpected
    assert len(report.loaded) == len(backbone)


def test_prefix_of_another_network(save):
    """A backbone inside somebody else's model, with a teacher of the same kind beside it."""
    backbone, teacher = weights(image_backbone()), weights(image_backbone())
    state = {**{f'teacher.encoder.{name}': tensor for name, tensor in teacher.items()},
             **{f'encoder.{name}': tensor for name, tensor in backbone.items()}, 'decoder.weight': torch.ones(2)}
    model = image_backbone()
    report = load(model, save(state))
    assert same(model.state_dict(), backbone)
    assert report.layout == 'backbone under `encoder.`, bare'
    assert 'decoder.weight' in report.skipped and 'teacher.encoder.norm.weight' in report.skipped


@pytest.mark.parametrize('content, message', [
    ({'state_dict': {'conv1.weight': torch.ones(1), 'layer1.0.bn1.bias': torch.ones(1)}},
     r'begin with `conv1`, `layer1`.*belongs to another network'),
    # PVT and SegFormer have a `patch_embed1`, too.
    ({'patch_embed1.proj.weight': torch.ones(64, 3, 7, 7), 'block1.0.norm1.weight': torch.ones(64)},
     r'begin with `patch_embed1`, `block1`.*belongs to another network'),
    ({'epoch': 3, 'lr': 0.1}, r'none of its keys \(epoch, lr\) is a tensor or one of .*model'),
    ({}, r'none of its keys \(there are none\)'),
    ([torch.ones(1)], 'it holds a list, not a state dict'),
    (torch.ones(3), 'it holds a Tensor, not a state dict'),
    (None, 'it holds a NoneType, not a state dict'),
])
def test_not_a_uniformer(save, content, message):
    path = save(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load(image_backbone(), path)
    assert str(path) in str(caught.value)


def test_half_a_file(save):
    """The sizes of what is left don't show."""
    state = classifier(image_backbone())
    del state['patch_embed1.proj.weight'], state['blocks2.0.pos_embed.weight']
    with pytest.raises(CheckpointError, match="incomplete: there is no 'blocks2.0.pos_embed.weight'"):
        load(image_backbone(), save(state))
