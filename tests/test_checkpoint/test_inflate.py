import pytest
import torch
from torch.nn import functional as F

from mmuniformer.checkpoint import inflate, load

from .conftest import image_backbone, randomized, video_backbone


@pytest.mark.parametrize('length', [1, 3, 5])
@pytest.mark.parametrize('mode', ['mean', 'center'])
def test_a_still_video_sees_what_the_image_saw(mode, length):
    weight, image = torch.randn(4, 3, 3, 3), torch.randn(2, 3, 7, 7)
    kernel = inflate(weight, length, mode)
    assert kernel.shape == (4, 3, length, 3, 3)
    video = image.unsqueeze(2).expand(-1, -1, length + 2, -1, -1)
    for frame in F.conv3d(video, kernel).unbind(2):
        torch.testing.assert_close(frame, F.conv2d(image, weight))


def test_what_sets_the_modes_apart():
    weight = torch.randn(4, 3, 3, 3)
    mean, center = inflate(weight, 3, 'mean'), inflate(weight, 3, 'center')
    for frame in mean.unbind(2):
        torch.testing.assert_close(frame, weight / 3)
    before, middle, after = center.unbind(2)
    assert torch.equal(middle, weight) and not before.any() and not after.any()


def test_keeps_the_data_type():
    for mode in ('mean', 'center'):
        assert inflate(torch.ones(1, 1, 3, 3, dtype=torch.float16), 3, mode).dtype == torch.float16


def test_unknown_mode(save):
    with pytest.raises(ValueError, match=r"inflation must be one of 'mean', 'center', got 'median'"):
        inflate(torch.ones(1, 1, 3, 3), 3, 'median')
    with pytest.raises(ValueError, match='median'):
        load(video_backbone(), save(image_backbone().state_dict()), inflation='median')


@pytest.mark.parametrize('std', [1, 3])
@pytest.mark.parametrize('mode', ['mean', 'center'])
def test_every_convolution_is_inflated(save, mode, std):
    source = randomized(image_backbone()).state_dict()
    model = video_backbone(temporal_kernel=std)
    report = load(model, save(source), inflation=mode)
    state = model.state_dict()
    kernels = [name for name, tensor in state.items() if tensor.ndim == 5]
    assert report.inflated and sorted(report.inflated) == sorted(kernels)
    assert state['patch_embed1.proj.weight'].shape[2] == 3 and state['patch_embed2.proj.weight'].shape[2] == std
    for name in kernels:
        assert torch.equal(state[name], inflate(source[name], state[name].shape[2], mode)), name
    assert report.inflation == mode and f'{len(kernels)} of them inflated from 2-D by {mode}' in str(report)


def test_conv_stem_is_inflated(save):
    arch = dict(depths=(1, 1, 1, 1), embed_dims=(8, 16, 16, 24), head_dim=8, conv_stem=True)
    report = load(video_backbone(arch=arch), save(image_backbone(arch=arch).state_dict()))
    assert {'patch_embed1.proj.0.weight', 'patch_embed1.proj.3.weight', 'patch_embed4.proj.0.weight'} <= set(
        report.inflated)


def test_the_backbone_says_how_unless_told_otherwise(save):
    source = randomized(image_backbone()).state_dict()
    path = save(source)
    model = video_backbone(inflation='center')
    assert load(model, path).inflation == 'center'
    assert load(model, path, inflation='mean').inflation == 'mean'
    assert load(video_backbone(), path).inflation == 'mean'
    assert load(image_backbone(), path, inflation='center').inflation is None  # nothing was inflated


@pytest.mark.parametrize('mode', ['mean', 'center'])
def test_official_numbers(shared, save, mode):
    data = torch.load(shared / 'parity' / f'inflate_{mode}.pt', weights_only=True)
    meta = data['meta']
    arch = dict(depths=meta['depth'], embed_dims=meta['embed_dim'], head_dim=meta['head_dim'])
    model = video_backbone(arch=arch, init_cfg=dict(type='Pretrained', checkpoint=str(save(data['state_dict'])),
                                                    inflation=mode))
    model.init_weights()
    with torch.no_grad():
        output = model.eval()(data['input'])
    assert (output - data['output']).abs().max() < 1e-5 * data['output'].abs().max()
