"""The light models, whose state dicts hold more than the others'."""
import pytest
import torch

from mmuniformer.checkpoint import CheckpointError, load
from mmuniformer.checkpoint.convert import to_mm, to_official
from mmuniformer.models import UniFormerLight, UniFormerLight3D

from .conftest import ARCH, full_size, image_backbone, same, weights

LIGHT = dict(ARCH, mlp_ratio=3, conv_stem=True)


def light(cls=UniFormerLight, **kwargs):
    return cls(**{**dict(arch=LIGHT, out_norm='BN', out_indices=(3, )), **kwargs})


def official(model):
    """An official classifier with its second head, over the class token, and that head's norm."""
    return weights(model, head__weight=torch.randn(5, 24), head__bias=torch.randn(5),
                   head_cls__weight=torch.randn(5, 24), head_cls__bias=torch.randn(5),
                   norm_cls__weight=torch.randn(24), norm_cls__bias=torch.randn(24))


def test_classifier(save):
    state = official(light())
    model = light()
    report = load(model, save({'model': state}))
    assert same(model.state_dict(), {name: state[name] for name in model.state_dict()})
    assert not report.missing and set(report.unexpected) == {'norm_cls.weight', 'norm_cls.bias'}
    assert set(report.skipped) == {'head.weight', 'head.bias', 'head_cls.weight', 'head_cls.bias'}


def test_images_into_videos(save):
    state = official(light())
    model = light(UniFormerLight3D)
    report = load(model, save({'model': state}))
    assert report.inflated and torch.equal(model.state_dict()['cls_token'], state['cls_token'])


def test_two_stages(save):
    model = light(out_norm='LN', out_indices=(0, 1))
    report = load(model, save(official(light())))
    assert {'cls_token', 'cls_upsample.weight'} <= set(report.unexpected)


def test_layer_scale_of_the_video_models(save):
    path = save(official(light(UniFormerLight3D, arch={**LIGHT, 'layer_scale': 1e-6})))
    with pytest.raises(CheckpointError, match=r'Use UniFormerLight3D with arch=dict\(.*layer_scale=1e-06\)$'):
        load(light(UniFormerLight3D), path)


def test_layer_scale_starts_on_weights_of_images(save):
    """As the release's recipes for Kinetics; from videos to videos, or for images, it is another network."""
    scaled = {**LIGHT, 'layer_scale': 0.1}
    model = light(UniFormerLight3D, arch=scaled)
    report = load(model, save(official(light())))
    new = [name for name in model.state_dict() if 'gamma' in name]
    assert new and set(report.missing) == set(new)
    assert all((model.state_dict()[name] == 0.1).all() for name in new)
    for other, state in ((light(arch=scaled), official(light())),
                         (light(UniFormerLight3D, arch=scaled), official(light(UniFormerLight3D)))):
        with pytest.raises(CheckpointError, match='layer_scale: False in the checkpoint, True in the model'):
            load(other, save(state))


def test_damaged_layer_scale(save):
    arch = {**LIGHT, 'layer_scale': 0.1}
    state = official(light(UniFormerLight3D, arch=arch))
    del state['blocks4.0.gamma_2']
    with pytest.raises(CheckpointError, match='blocks4.0.gamma_2 is missing'):
        load(light(UniFormerLight3D, arch=arch), save(state))


def test_not_for_the_others(save):
    with pytest.raises(CheckpointError, match='light: True in the checkpoint, False in the model.*Use UniFormerLight '):
        load(image_backbone(), save(official(light())))
    with pytest.raises(CheckpointError, match='light: False in the checkpoint, True in the model.*Use UniFormer '):
        load(light(), save(weights(image_backbone())))


def test_names_the_arch(save):
    """A published file in another size of the light models."""
    path = save({'model': full_size('xs', UniFormerLight)}, 'uniformer_xs_192_in1k.pth')
    with pytest.raises(CheckpointError, match=r"\(xs with head_dim=32, image, 192 pixels.*"
                       r"Use UniFormerLight with arch='xs'$"):
        load(light(), path)
    assert load(UniFormerLight('xs', out_norm='BN', out_indices=(3, )), path).published.arch == 'xs'


@pytest.mark.parametrize('cls, names', [
    (UniFormerLight, ('head.fc.weight', 'head.fc_token.weight')),
    (UniFormerLight3D, ('cls_head.fc_cls.weight', 'cls_head.fc_token.weight')),
])
def test_both_heads_there_and_back(cls, names):
    state = official(light(cls))
    converted = to_mm({'model': state})
    assert set(names) <= set(converted.content['state_dict'])
    back = to_official(converted.content)
    assert same(back.content.get('model', back.content), state) and not back.left_out


def test_dense_tasks(save):
    """The authors' detectors and segmentors: names of today, the whole of it back and forth, the backbone alone."""
    dense = dict(out_norm='LN', out_indices=(0, 1, 2, 3))
    state = weights(light(**dense), 'backbone.', neck__lateral_convs__0__conv__weight=torch.randn(4, 8, 1, 1),
                    roi_head__bbox_head__fc_cls__weight=torch.randn(81, 4))
    content = {'meta': {'CLASSES': ('cat', 'dog')}, 'state_dict': state}
    for converted in (to_mm(content), to_official(content)):
        assert same(converted.content['state_dict'], state) and not converted.left_out
    model = light(**dense)
    report = load(model, save(content))
    assert not report.missing and not report.unexpected
    assert same({f'backbone.{name}': tensor for name, tensor in model.state_dict().items()},
                {name: tensor for name, tensor in state.items() if name.startswith('backbone.')})


def test_classifier_into_dense_tasks(save):
    """What the recipes of detection and segmentation start from; only the maps' own norms are new."""
    state = official(light())
    model = light(out_norm='LN', out_indices=(0, 1, 2, 3))
    report = load(model, save({'model': state}))
    assert set(report.missing) == {f'norm{stage}.{part}' for stage in range(1, 5) for part in ('weight', 'bias')}
    assert same({name: tensor for name, tensor in model.state_dict().items() if name not in report.missing},
                {name: state[name] for name in model.state_dict() if name not in report.missing})
