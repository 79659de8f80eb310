"""What loads, what is left as it was, and what is refused."""
import pytest
import torch
from torch import nn

from mmuniformer.checkpoint import CheckpointError, LoadReport, load
from mmuniformer.models.backbones.arch import ARCHS

from .conftest import ARCH, classifier, full_size, image_backbone, randomized, same, video_backbone, weights


def _copy(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_report(save):
    path = save({'model': classifier(image_backbone())}, 'some.pth')
    model = image_backbone(out_norm='LN', out_indices=(0, 1, 2, 3))
    report = load(model, path)
    assert isinstance(report, LoadReport)
    assert (report.source, report.layout, report.model) == (str(path), 'official image under `model`', 'UniFormer')
    assert report.published is None and report.inflation is None and report.inflated == []
    assert report.skipped == {'head.weight': 'the model is a backbone', 'head.bias': 'the model is a backbone'}
    assert report.missing == [f'norm{i}.{kind}' for i in (1, 2, 3, 4) for kind in ('weight', 'bias')]
    assert [name for name in report.unexpected if 'num_batches' not in name] == [
        'norm.weight', 'norm.bias', 'norm.running_mean', 'norm.running_var']
    assert set(report.loaded) == {name for name in model.state_dict() if not name.startswith('norm')}
    text = str(report)
    assert f'some.pth (official image under `model`) loaded into UniFormer: {len(report.loaded)} tensors' in text
    assert 'kept at their initial values: norm1, norm2, norm3, norm4' in text
    assert 'in the checkpoint but not used: norm' in text
    assert 'heads left out: head.weight (the model is a backbone)' in text


def test_report_is_logged(save, tmp_path):
    from mmengine.logging import MMLogger
    path = save(weights(image_backbone()))
    log = tmp_path / 'run.log'
    MMLogger.get_instance('checkpoint-test', log_file=str(log))
    load(image_backbone(), path)
    assert f'{path} (official image, bare) loaded into UniFormer' in log.read_text()


def test_dense_weights_into_a_classifier(save):
    source = weights(image_backbone(out_norm='LN', out_indices=(0, 1, 2, 3)))
    report = load(image_backbone(), save(source))
    assert {name.split('.')[0] for name in report.unexpected} == {'norm1', 'norm2', 'norm3', 'norm4'}
    assert {name.split('.')[0] for name in report.missing} == {'norm'}


def test_old_file_without_batch_counts(save):
    source = {name: tensor for name, tensor in weights(image_backbone()).items() if 'num_batches' not in name}
    assert load(image_backbone(), save(source), strict=True).missing == []


def test_half_precision_file(save):
    source = {name: tensor.half() if tensor.is_floating_point() else tensor
              for name, tensor in weights(image_backbone()).items()}
    model = image_backbone()
    load(model, save(source))
    assert {tensor.dtype for tensor in model.parameters()} == {torch.float32}
    assert torch.equal(model.norm.weight.detach(), source['norm.weight'].float())


def test_fewer_stages(save):
    """A backbone that ends after stage 2 takes the weights of its stages."""
    source = weights(image_backbone(out_norm='LN', out_indices=(0, 1, 2, 3)))
    model = image_backbone(out_norm='LN', out_indices=(0, 1))
    report = load(model, save(source))
    assert same(model.state_dict(), {name: source[name] for name in model.state_dict()})
    assert {name.split('.')[0] for name in report.unexpected} == {
        'patch_embed3', 'patch_embed4', 'blocks3', 'blocks4', 'norm3', 'norm4'}
    # Its final norm has another size than the whole network's.
    report = load(image_backbone(out_indices=(1, )), save(weights(image_backbone())))
    assert 'norm.weight' in report.missing and 'norm.weight' in report.unexpected


def test_divided_attention_starts_from_images_and_from_joint_attention(save):
    for source in (image_backbone(), video_backbone()):
        model = video_backbone(attention='divided')
        before = _copy(model)
        report = load(model, save(weights(source)))
        assert {name.split('.')[2] for name in report.missing} == {'t_norm', 't_attn'}
        after = model.state_dict()
        assert same({name: after[name] for name in report.missing}, {name: before[name] for name in report.missing})
    source = weights(video_backbone(attention='divided'))
    model = video_backbone(attention='divided')
    assert load(model, save(source), strict=True).missing == []
    assert same(model.state_dict(), source)


class Wrapped(nn.Module):
    """What DistributedDataParallel looks like from outside."""

    def __init__(self, module):
        super().__init__()
        self.module = module


def test_wrapped_model(save):
    source = weights(image_backbone())
    model = Wrapped(image_backbone())
    load(model, save(source))
    assert same(model.module.state_dict(), source)


def test_init_cfg(save):
    source = classifier(image_backbone())
    model = image_backbone(init_cfg=dict(type='Pretrained', checkpoint=str(save({'model': source}))))
    model.init_weights()
    assert same(model.state_dict(), {name: source[name] for name in model.state_dict()})


# ---- refused


def _refused(model, path, *messages, **kwargs):
    """It is an error that says all of this, and the model is as it was."""
    before = _copy(model)
    with pytest.raises(CheckpointError) as caught:
        load(model, path, **kwargs)
    for message in (str(path), *messages):
        assert message in str(caught.value), f'{message!r} is not in {str(caught.value)!r}'
    assert same(model.state_dict(), before)


SIZES = dict(depths=(1, 2, 2, 1), embed_dims=(8, 16, 16, 24), head_dim=8)


@pytest.mark.parametrize('change, messages', [
    (dict(depths=(1, 2, 3, 1)), ['depths: (1, 2, 3, 1) in the checkpoint, (1, 2, 2, 1) in the model',
                                 'Use UniFormer with arch=dict(depths=(1, 2, 3, 1), embed_dims=(8, 16, 16, 24))']),
    (dict(depths=(1, 2, 1, 1)), ['depths: (1, 2, 1, 1) in the checkpoint']),
    (dict(embed_dims=(8, 16, 24, 24)), ['embed_dims: (8, 16, 24, 24) in the checkpoint, (8, 16, 16, 24) in the model']),
    (dict(mlp_ratio=3), ['mlp_ratio: 3.0 in the checkpoint, 4.0 in the model', 'mlp_ratio=3.0']),
    (dict(conv_stem=True), ['conv_stem: True in the checkpoint, False in the model', 'conv_stem=True']),
    (dict(layer_scale=1e-6), ['layer_scale: True in the checkpoint, False in the model', 'layer_scale=1e-06']),
])
def test_another_arch(save, change, messages):
    _refused(image_backbone(), save(weights(image_backbone(arch={**SIZES, **change}))), 'does not fit the model',
             *messages)
    _refused(video_backbone(), save(weights(image_backbone(arch={**SIZES, **change}))), *[
        message.replace('UniFormer with', 'UniFormer3D with') for message in messages])
    # and the other way round, which is as bad
    _refused(image_backbone(arch={**SIZES, **change}), save(weights(image_backbone())), 'does not fit the model')


def test_names_the_arch(save, small):
    for arch in ('base', 'small_plus', 'large'):
        with pytest.raises(CheckpointError, match=f"depths: .* in the checkpoint, .*Use UniFormer with arch='{arch}'$"):
            load(small, save({'model': full_size(arch)}))
    with pytest.raises(CheckpointError, match=r'layer_scale: True in the checkpoint, False in the model. Use '
                       r'UniFormer with arch=dict\(depths=\(3, 4, 8, 3\), embed_dims=\(64, 128, 320, 512\), '
                       r'layer_scale=1e-06\)$'):
        load(small, save({'model': full_size(ARCHS['small'].with_(layer_scale=1e-6))}))


@pytest.mark.parametrize('source, model, messages', [
    (lambda: video_backbone(), lambda: image_backbone(), [
        'ndim: 3 in the checkpoint, 2 in the model', 'Use UniFormer3D with arch=dict(']),
    (lambda: video_backbone(temporal_kernel=3), lambda: video_backbone(), [
        'temporal_kernel: 3 in the checkpoint, 1 in the model', 'Use UniFormer3D with', ', temporal_kernel=3']),
    (lambda: video_backbone(), lambda: video_backbone(temporal_kernel=3), [
        'temporal_kernel: 1 in the checkpoint, 3 in the model']),
    (lambda: video_backbone(attention='divided'), lambda: video_backbone(), [
        'attention: divided in the checkpoint, joint in the model', "attention='divided'"]),
    (lambda: image_backbone(in_channels=1), lambda: image_backbone(), [
        'in_channels: 1 in the checkpoint, 3 in the model', 'in_channels=1']),
])
def test_another_network_of_the_family(save, source, model, messages):
    _refused(model(), save(weights(source())), *messages)


def test_damaged_blocks(save):
    state = weights(image_backbone())
    lost = {name: tensor for name, tensor in state.items() if name != 'blocks3.1.attn.qkv.weight'}
    _refused(image_backbone(), save(lost), 'blocks3.1.attn.qkv.weight is missing')
    _refused(image_backbone(), save({**state, 'blocks3.1.attn.qkv.weight': torch.ones(2, 2)}),
             'blocks3.1.attn.qkv.weight is (2, 2), the model has (48, 16)')
    _refused(image_backbone(), save({**state, 'blocks3.1.attn.rel_pos': torch.ones(2)}),
             'blocks3.1.attn.rel_pos is unknown')
    state = weights(video_backbone(attention='divided'))
    del state['blocks4.0.t_attn.proj.weight']
    _refused(video_backbone(attention='divided'), save(state), 'blocks4.0.t_attn.proj.weight is missing')


def test_strict(save):
    dense = dict(out_norm='LN', out_indices=(0, 1, 2, 3))
    path = save(classifier(image_backbone()))
    assert load(image_backbone(), path, strict=True).skipped  # a backbone has no use for heads, strict or not
    _refused(image_backbone(**dense), path, 'norm1.weight is missing', 'strict=True', strict=True)
    _refused(video_backbone(attention='divided'), path, 't_attn.qkv.weight is missing', strict=True)


def test_model_without_a_uniformer(save):
    path = save(weights(image_backbone()))
    with pytest.raises(ValueError, match='Linear has no UniFormer backbone'):
        load(nn.Linear(1, 1), path)
    model = nn.Module()
    model.backbone = nn.Conv2d(1, 1, 1)
    with pytest.raises(ValueError, match='no UniFormer backbone'):
        load(model, path)


# ---- whole models of the frameworks


def image_classifier(classes=5):
    from mmpretrain.registry import MODELS
    return MODELS.build(dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='mmuniformer.UniFormer', arch=ARCH, out_norm='BN', out_indices=(3, )),
        neck=dict(type='mmpretrain.GlobalAveragePooling'),
        head=dict(type='mmpretrain.LinearClsHead', num_classes=classes, in_channels=24)))


def recognizer(classes=5, **kwargs):
    from mmaction.registry import MODELS
    return MODELS.build(dict(
        type='mmaction.Recognizer3D',
        data_preprocessor=dict(type='mmaction.ActionDataPreprocessor'),
        backbone=dict(type='mmuniformer.UniFormer3D', arch=ARCH, **kwargs),
        cls_head=dict(type='mmaction.I3DHead', num_classes=classes, in_channels=24, spatial_type='avg')))


def test_official_image_classifier_as_a_whole(save):
    source = classifier(image_backbone())
    model = image_classifier()
    report = load(model, save({'model': source}), strict=True)
    state = model.state_dict()
    assert torch.equal(state['head.fc.weight'], source['head.weight'])
    assert torch.equal(state['head.fc.bias'], source['head.bias'])
    assert torch.equal(state['backbone.norm.weight'], source['norm.weight'])
    assert not report.skipped and {'head.fc.weight', 'head.fc.bias'} <= set(report.loaded)


def test_official_video_classifier_as_a_whole(save):
    source = classifier(video_backbone())
    model = recognizer()
    load(model, save(source), strict=True)
    state = model.state_dict()
    assert torch.equal(state['cls_head.fc_cls.weight'], source['head.weight'])
    assert torch.equal(state['backbone.blocks4.0.attn.qkv.bias'], source['blocks4.0.attn.qkv.bias'])


def test_head_of_another_class_count(save):
    model = recognizer(classes=7)
    before = _copy(model)
    source = classifier(video_backbone())
    path = save(source)
    report = load(model, path)
    assert report.skipped == {'cls_head.fc_cls.weight': '(5, 24), the model has (7, 24)',
                              'cls_head.fc_cls.bias': '(5,), the model has (7,)'}
    assert report.missing == ['cls_head.fc_cls.weight', 'cls_head.fc_cls.bias']
    assert 'heads left out: cls_head.fc_cls.weight ((5, 24), the model has (7, 24))' in str(report)
    after = model.state_dict()
    assert torch.equal(after['cls_head.fc_cls.weight'], before['cls_head.fc_cls.weight'])
    assert torch.equal(after['backbone.norm.weight'], source['norm.weight'])
    _refused(recognizer(classes=7), path, 'cls_head.fc_cls.weight is left out', strict=True)


def test_checkpoint_of_the_runner(save):
    """A model trained here, into the same model and into its backbone alone."""
    source = randomized(recognizer()).state_dict()
    path = save({'meta': {}, 'state_dict': source, 'optimizer': {}})
    model = recognizer()
    load(model, path, strict=True)
    assert same(model.state_dict(), source)
    backbone = video_backbone()
    report = load(backbone, path)
    assert same({f'backbone.{name}': tensor for name, tensor in backbone.state_dict().items()},
                {name: tensor for name, tensor in source.items() if name.startswith('backbone.')})
    assert sorted(report.skipped) == ['cls_head.fc_cls.bias', 'cls_head.fc_cls.weight']


def test_image_classifier_of_mmpretrain_into_a_recognizer(save):
    """From images to videos, its head too where the classes are as many."""
    source = randomized(image_classifier()).state_dict()
    model = recognizer()
    report = load(model, save({'state_dict': source}))
    assert report.inflated and torch.equal(model.cls_head.fc_cls.weight.detach(), source['head.fc.weight'])


def test_token_labeling_head_is_left_out(save):
    source = {**classifier(image_backbone()), 'aux_head.weight': torch.randn(5, 24), 'aux_head.bias': torch.randn(5)}
    report = load(image_classifier(), save({'state_dict': source}))
    assert set(report.skipped) == {'aux_head.weight', 'aux_head.bias'}


def test_mmaction2_port(save):
    """Weights of MMAction2's own class give the same logits in ours, its head included."""
    from mmaction.registry import MODELS
    theirs = MODELS.build(dict(
        type='mmaction.Recognizer3D',
        data_preprocessor=dict(type='mmaction.ActionDataPreprocessor'),
        backbone=dict(type='mmaction.UniFormer', depth=list(ARCH['depths']), embed_dim=list(ARCH['embed_dims']),
                      head_dim=ARCH['head_dim'], pretrained2d=False),
        cls_head=dict(type='mmaction.I3DHead', num_classes=5, in_channels=24, spatial_type='avg')))
    randomized(theirs).eval()
    for name, module in theirs.backbone.named_modules():
        if isinstance(module, nn.LayerNorm) and name.startswith('blocks'):
            module.eps = 1e-6  # the release's; MMAction2 left PyTorch's
    ours = recognizer().eval()
    report = load(ours, save({'meta': {}, 'state_dict': theirs.state_dict()}), strict=True)
    assert report.layout == 'MMAction2 under `state_dict`'
    clips = torch.randn(2, 1, 3, 8, 64, 64)
    with torch.no_grad():
        ours, theirs = (model(clips, stage='head', mode='tensor') for model in (ours, theirs))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_pose_head_of_old_mmpose(save):
    from mmpose.registry import MODELS
    from mmpose.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    model = MODELS.build(dict(
        type='mmpose.TopdownPoseEstimator',
        backbone=dict(type='mmuniformer.UniFormer', arch=ARCH, out_indices=(0, 1, 2, 3)),
        head=dict(type='mmpose.HeatmapHead', in_channels=24, out_channels=17, deconv_out_channels=(8, ),
                  deconv_kernel_sizes=(4, ), loss=dict(type='mmpose.KeypointMSELoss'),
                  decoder=dict(type='mmpose.MSRAHeatmap', input_size=(64, 64), heatmap_size=(16, 16), sigma=2))))
    source = randomized(model).state_dict()
    old = {f'keypoint_{name}' if name.startswith('head.') else name: tensor.clone() for name, tensor in source.items()}
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    load(model, save({'meta': {}, 'state_dict': old}), strict=True)
    assert torch.equal(model.head.final_layer.weight.detach(), old['keypoint_head.final_layer.weight'])
    assert same(model.state_dict(), {name.removeprefix('keypoint_'): tensor for name, tensor in old.items()})
