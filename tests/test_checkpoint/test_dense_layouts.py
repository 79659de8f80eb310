"""Whole detectors, segmentors and pose estimators as OpenMMLab 0.x and 2.x wrote them, in today's frameworks.

The names of the old heads are written down here, one by one, as the layers are called in MMDetection 2.x,
MMSegmentation 0.x and MMPose 0.x, which the authors trained with. If a layer of today had another name, a test here
would say which.
"""
import copy
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch
from mmengine.runner import load_checkpoint

from mmuniformer.checkpoint import load
from mmuniformer.checkpoint.convert import to_mm, to_official

from ..test_configs import dense
from .conftest import randomized, same

CONV = ('weight', 'bias')
NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def _each(module: str, kinds) -> Iterator[str]:
    yield from (f'{module}.{kind}' for kind in kinds)


def _conv_norm(module: str) -> Iterator[str]:
    """A convolution without bias, and its norm."""
    yield f'{module}.conv.weight'
    yield from _each(f'{module}.bn', NORM)


def _pyramid() -> Iterator[str]:
    for level in range(4):
        yield from _each(f'neck.lateral_convs.{level}.conv', CONV)
        yield from _each(f'neck.fpn_convs.{level}.conv', CONV)


def _proposals() -> Iterator[str]:
    for layer in ('rpn_conv', 'rpn_cls', 'rpn_reg'):
        yield from _each(f'rpn_head.{layer}', CONV)


def _masks(head: str) -> Iterator[str]:
    for index in range(4):
        yield from _each(f'{head}.convs.{index}.conv', CONV)
    yield from _each(f'{head}.upsample', CONV)
    yield from _each(f'{head}.conv_logits', CONV)


def mask_rcnn() -> Iterator[str]:
    yield from _pyramid()
    yield from _proposals()
    for layer in ('shared_fcs.0', 'shared_fcs.1', 'fc_cls', 'fc_reg'):
        yield from _each(f'roi_head.bbox_head.{layer}', CONV)
    yield from _masks('roi_head.mask_head')


def cascade_mask_rcnn() -> Iterator[str]:
    yield from _pyramid()
    yield from _proposals()
    for stage in range(3):
        for index in range(4):
            yield from _conv_norm(f'roi_head.bbox_head.{stage}.shared_convs.{index}')
        for layer in ('shared_fcs.0', 'fc_cls', 'fc_reg'):
            yield from _each(f'roi_head.bbox_head.{stage}.{layer}', CONV)
        yield from _masks(f'roi_head.mask_head.{stage}')


def upernet() -> Iterator[str]:
    yield from _each('decode_head.conv_seg', CONV)
    for scale in range(4):
        yield from _conv_norm(f'decode_head.psp_modules.{scale}.1')
    yield from _conv_norm('decode_head.bottleneck')
    for level in range(3):
        yield from _conv_norm(f'decode_head.lateral_convs.{level}')
        yield from _conv_norm(f'decode_head.fpn_convs.{level}')
    yield from _conv_norm('decode_head.fpn_bottleneck')
    yield from _each('auxiliary_head.conv_seg', CONV)
    yield from _conv_norm('auxiliary_head.convs.0')


def semantic_fpn() -> Iterator[str]:
    yield from _pyramid()
    yield from _each('decode_head.conv_seg', CONV)
    for level, convs in enumerate((1, 1, 2, 3)):
        for index in range(convs):  # an upsampling after each
            yield from _conv_norm(f'decode_head.scale_heads.{level}.{2 * index}')


def top_down() -> Iterator[str]:
    for index in (0, 3, 6):
        yield f'keypoint_head.deconv_layers.{index}.weight'
        yield from _each(f'keypoint_head.deconv_layers.{index + 1}', NORM)
    yield from _each('keypoint_head.final_layer', CONV)


#: Task, config, names of the old heads.
MODELS = {
    'Mask R-CNN': ('detection', 'mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco', mask_rcnn),
    'Cascade Mask R-CNN': ('detection', 'cascade-mask-rcnn_uniformer-small-h14_fpn_amp-ms-crop-3x_coco',
                           cascade_mask_rcnn),
    'UPerNet': ('segmentation', 'uniformer-small_upernet_8xb2-160k_ade20k-512x512', upernet),
    'Semantic FPN': ('segmentation', 'uniformer-small_fpn_8xb4-80k_ade20k-512x512', semantic_fpn),
    'TopDown': ('pose', 'td-hm_uniformer-small_8xb128-210e_coco-256x192', top_down),
}
#: What the frameworks kept beside the weights.
META = dict(mmdet_version='2.11.0+ea77ae4', CLASSES=('person', 'bicycle'), PALETTE=[[120, 120, 120]], epoch=36, iter=9,
            config='model = dict()', env_info='sys.platform: linux', exp_name='config.py', seed=None)


def model_of(kind: str):
    task, name, _ = MODELS[kind]
    torch.manual_seed(0)
    return randomized(dense.build(dense.tiny(dense.config(task, name)))).eval()


def old_file(kind: str, model=None) -> dict:
    """A file as the authors' are: old names of the head, and a norm for each stage, also where one is used."""
    model = model or model_of(kind)
    state = {}
    for name, tensor in model.state_dict().items():
        old = 'keypoint_head.' + name.removeprefix('head.') if kind == 'TopDown' and name.startswith('head.') else name
        state[old] = tensor.clone()
    for stage in (1, 2, 3):
        for part in CONV:
            state.setdefault(f'backbone.norm{stage}.{part}', torch.randn(32))
    return dict(meta=dict(META), state_dict=state, optimizer=dict(state={}, param_groups=[]))


def used(state: dict, kind: str) -> dict:
    """Without the three norms that a pose estimator has no use for."""
    unused = ('backbone.norm1.', 'backbone.norm2.', 'backbone.norm3.') if kind == 'TopDown' else ()
    return {name: tensor for name, tensor in state.items() if not (unused and name.startswith(unused))}


@pytest.mark.parametrize('kind', MODELS)
class TestOldModels:

    def test_names_one_by_one(self, kind):
        """The old file has just the names written down above; this guards the tests below against themselves."""
        expected = set(MODELS[kind][2]())
        found = {name for name in old_file(kind)['state_dict'] if not name.startswith('backbone.')}
        assert found == expected, sorted(found ^ expected)

    def test_converts(self, kind):
        original, model = old_file(kind), model_of(kind)
        wanted = copy.deepcopy(model.state_dict())
        for tensor in model.state_dict().values():
            tensor.zero_()
        converted = to_mm(original)
        assert not converted.left_out and converted.content['meta']['CLASSES'] == META['CLASSES']
        model.load_state_dict(used(converted.content['state_dict'], kind), strict=True)
        assert same(model.state_dict(), wanted)

    def test_and_back(self, kind):
        original = old_file(kind)
        back = to_official(to_mm(original).content)
        assert same(back.content['state_dict'], original['state_dict'])
        assert back.kind == ('official pose' if kind == 'TopDown' else 'official detection or segmentation')

    def test_loads_as_it_is(self, kind, save):
        """`load` needs no conversion, and takes the head too."""
        model = model_of(kind)
        wanted = copy.deepcopy(model.state_dict())
        for tensor in model.state_dict().values():
            tensor.zero_()
        path = save(old_file(kind))
        report = load(model, str(path))
        assert same(model.state_dict(), wanted)
        assert not report.missing and not report.skipped
        assert {name.split('.')[0] for name in report.unexpected} == ({'norm1', 'norm2', 'norm3'} if kind == 'TopDown'
                                                                       else set())

    def test_tool_and_runner(self, kind, save, tmp_path):
        """Through the command line and MMEngine's own reading, as `load_from` and `tools/test.py` do it."""
        model = model_of(kind)
        wanted = copy.deepcopy(model.state_dict())
        for tensor in model.state_dict().values():
            tensor.zero_()
        target = tmp_path / 'converted.pth'
        tool = dense.ROOT / 'tools/model_converters/convert.py'
        done = subprocess.run([sys.executable, tool, save(old_file(kind)), target, '--to', 'mm'], text=True,
                              capture_output=True, cwd=dense.ROOT, env={'PYTHONPATH': str(dense.ROOT)})
        assert done.returncode == 0, done.stderr
        load_checkpoint(model, str(target), map_location='cpu', strict=kind != 'TopDown')
        assert same(model.state_dict(), wanted)


def test_mmpose_project():
    """Its files have today's head, and norms of all four stages; they load as they are."""
    model = model_of('TopDown')
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for stage in (1, 2, 3):
        for part in CONV:
            state[f'backbone.norm{stage}.{part}'] = torch.randn(32)
    wanted = copy.deepcopy(model.state_dict())
    for tensor in model.state_dict().values():
        tensor.zero_()
    found = to_mm(dict(meta=dict(META), state_dict=state))
    assert same(found.content['state_dict'], state) and 'MMPose' in found.layout
    model.load_state_dict(used(found.content['state_dict'], 'TopDown'), strict=True)
    assert same(model.state_dict(), wanted)


def test_one_trained_model_runs_with_other_windows():
    """The weights of a globally trained segmentor fit its `w32` and `h32` configs to the letter."""
    state = model_of('UPerNet').state_dict()
    for attention in ('w32', 'h32'):
        name = f'uniformer-small-{attention}_upernet_8xb2-160k_ade20k-512x512'
        dense.build(dense.tiny(dense.config('segmentation', name))).load_state_dict(state, strict=True)


@pytest.mark.parametrize('kind', MODELS)
def test_a_missing_part_of_the_head_is_reported(kind, save):
    content = old_file(kind)
    lost = next(iter(MODELS[kind][2]()))
    del content['state_dict'][lost]
    report = load(model_of(kind), str(save(content)))
    assert report.missing == [lost.replace('keypoint_head.', 'head.')]
