"""Outputs and gradients against a plain reference from the papers' equations, in float64."""
import pytest
import torch

from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D

from .reference import uniformer

DEPTHS, DIMS = [1, 2, 5, 2], [8, 16, 24, 32]


def _arch(**changes):
    return dict(depths=DEPTHS, embed_dims=DIMS, head_dim=8, **changes)


KEEP = ((1, 0.5, 0.75, 0.5, 0.3), (0.5, 0.5))


def _light(**changes):
    return _arch(conv_stem=True, keep_ratios=KEEP, **changes)


CASES = {
    'image, global': (UniFormer, dict(arch=_arch()), {}, (2, 3, 64, 96)),
    'image, window': (UniFormer, dict(arch=_arch(), attention='window', window_size=3), dict(windows=[3] * 5),
                      (2, 3, 64, 80)),
    'image, window larger than the map': (UniFormer, dict(arch=_arch(), attention='window', window_size=9),
                                          dict(windows=[9] * 5), (1, 3, 64, 80)),
    'image, hybrid': (UniFormer, dict(arch=_arch(), attention='hybrid', window_size=3),
                      dict(windows=[3, 3, 3, 0, 3]), (2, 3, 64, 80)),
    'image, BN, layer scale': (UniFormer, dict(arch=_arch(layer_scale=0.1), out_norm='BN'), {}, (2, 3, 64, 64)),
    'image, conv stem, odd size': (UniFormer, dict(arch=_arch(conv_stem=True)), {}, (2, 3, 67, 45)),
    'image, size between multiples': (UniFormer, dict(arch=_arch()), {}, (2, 3, 75, 101)),
    'video, joint': (UniFormer3D, dict(arch=_arch(), out_indices=(0, 1, 2, 3)), {}, (2, 3, 5, 64, 64)),
    'video, divided': (UniFormer3D, dict(arch=_arch(), out_indices=(0, 1, 2, 3), attention='divided'),
                       dict(divided=True), (2, 3, 6, 64, 64)),
    'video, temporal kernel 3': (UniFormer3D, dict(arch=_arch(), out_indices=(0, 1, 2, 3), temporal_kernel=3),
                                 dict(temporal_kernel=3), (1, 3, 4, 64, 64)),
    'video, conv stem of the light models': (UniFormerLight3D, dict(arch=_light(), out_indices=(0, 1, 2, 3)),
                                             dict(keep_ratios=KEEP), (2, 3, 6, 64, 96)),
    'light image': (UniFormerLight, dict(arch=_light()), dict(keep_ratios=KEEP), (2, 3, 96, 144)),
    'light image, layer scale': (UniFormerLight, dict(arch=_light(layer_scale=0.1)), dict(keep_ratios=KEEP),
                                 (2, 3, 64, 96)),
    'light video, layer scale': (UniFormerLight3D, dict(arch=_light(layer_scale=0.1), out_indices=(0, 1, 2, 3)),
                                 dict(keep_ratios=KEEP), (1, 3, 4, 64, 64)),
}


def _randomise(model):
    """Weights far from their initial values, so that no term is hidden by a zero or a one."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for name, buffer in model.named_buffers():
        if name.endswith(('running_mean', 'running_var')):
            torch.nn.init.uniform_(buffer, 0.5, 1.5)


@pytest.mark.parametrize('training', [False, True], ids=['eval', 'train'])
@pytest.mark.parametrize('case', CASES)
def test_outputs_and_gradients(case, training):
    cls, kwargs, reference_kwargs, shape = CASES[case]
    model = cls(**kwargs).double().train(training)
    _randomise(model)
    x = torch.randn(shape, dtype=torch.float64)
    parameters = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    for name, _ in model.named_parameters():
        parameters[name].requires_grad_()

    ours_in, theirs_in = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours = model(ours_in)
    theirs = uniformer(theirs_in, parameters, head_dim=8, out_norm=model.out_norm, training=training,
                       **reference_kwargs)
    assert len(ours) == len(theirs) == 4
    weights = [torch.randn_like(m) for m in theirs]
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)

    sum((m * w).sum() for m, w in zip(ours, weights)).backward()
    sum((m * w).sum() for m, w in zip(theirs, weights)).backward()
    torch.testing.assert_close(ours_in.grad, theirs_in.grad, rtol=1e-7, atol=1e-7)
    for name, parameter in model.named_parameters():
        scale = max(parameters[name].grad.abs().max().item(), 1.)
        torch.testing.assert_close(parameter.grad / scale, parameters[name].grad / scale, rtol=1e-7, atol=1e-9,
                                   msg=lambda text, name=name: f'{name}: {text}')
