"""Convolutions of channels-last maps."""
import pytest
import torch
import torch.nn.functional as F

from mmuniformer.ops import channels_first, channels_last, convolve

# Kernel, stride, padding
ONE_FRAME = (1, 2, 2), (1, 2, 2), (0, 0, 0)
CASES = {
    'image': ((3, 3), (2, 2), (1, 1)),
    'frame by frame': ONE_FRAME,
    'frame by frame, padded in space': ((1, 3, 3), (1, 2, 1), (0, 1, 0)),
    'over time': ((3, 4, 4), (2, 4, 4), (1, 0, 0)),
    'every other frame': ((1, 2, 2), (2, 2, 2), (0, 0, 0)),
    'zero frames around': ((1, 2, 2), (1, 2, 2), (1, 0, 0)),
}


@pytest.mark.parametrize('kernel, stride, padding', CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32])
def test_is_the_convolution(kernel, stride, padding, with_bias, dtype):
    x = torch.randn(2, *(4, 9, 12)[-len(kernel):], 3, dtype=dtype, requires_grad=True)
    weight = torch.randn(5, 3, *kernel, dtype=dtype, requires_grad=True)
    bias = torch.randn(5, dtype=dtype, requires_grad=True) if with_bias else None
    conv = F.conv2d if len(kernel) == 2 else F.conv3d
    ours = convolve(x, weight, bias, stride, padding)
    theirs = channels_last(conv(channels_first(x), weight, bias, stride, padding))
    torch.testing.assert_close(ours, theirs)
    inputs = [tensor for tensor in (x, weight, bias) if tensor is not None]
    output = torch.randn_like(ours)
    torch.testing.assert_close(*(torch.autograd.grad(result, inputs, output) for result in (ours, theirs)))


@pytest.mark.parametrize('kernel, stride, padding', CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize('with_bias', [True, False])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
def test_gelu_after_it(kernel, stride, padding, with_bias, dtype):
    x, weight = torch.randn(2, *(4, 9, 12)[-len(kernel):], 3, dtype=dtype), torch.randn(5, 3, *kernel, dtype=dtype)
    bias = torch.randn(5, dtype=dtype) if with_bias else None
    result = convolve(x, weight, bias, stride, padding, gelu=True)
    assert result.dtype == dtype and result.is_contiguous()
    exact = convolve(x.double(), weight.double(), bias.double() if with_bias else None, stride, padding)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2e-2}[dtype]
    assert (result.double() - F.gelu(exact)).abs().max() < tolerance * exact.abs().max()


@pytest.mark.parametrize('bias', [None, torch.ones(5)], ids=['no bias', 'bias'])
def test_gelu_after_it_under_autocast_and_with_gradients(bias):
    x, weight = torch.randn(2, 9, 12, 3), torch.randn(5, 3, 3, 3)
    expected = F.gelu(convolve(x, weight, bias, (2, 2), (1, 1)))
    with torch.autocast('cpu', torch.bfloat16):
        result = convolve(x, weight, bias, (2, 2), (1, 1), gelu=True)
    assert result.dtype == torch.bfloat16
    assert (result.float() - expected).abs().max() < 0.02 * expected.abs().max()
    weight.requires_grad_()
    gradients = [torch.autograd.grad(result.square().sum(), weight) for result in (
        convolve(x, weight, bias, (2, 2), (1, 1), gelu=True), F.gelu(convolve(x, weight, bias, (2, 2), (1, 1))))]
    torch.testing.assert_close(*gradients)


def _called(*args, **kwargs):
    with torch.profiler.profile() as profile:
        convolve(*args, **kwargs)
    return {event.key for event in profile.key_averages()}


def test_a_kernel_of_one_frame_takes_the_code_for_images():
    called = _called(torch.randn(1, 8, 16, 16, 3), torch.randn(5, 3, *ONE_FRAME[0]), None, *ONE_FRAME[1:])
    assert 'aten::conv2d' in called
    assert 'aten::conv3d' not in called


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='PyTorch without oneDNN')
def test_a_small_clip_does_not_take_the_slow_code():
    called = _called(torch.randn(1, 8, 16, 16, 3), torch.randn(5, 3, 3, 3, 3), None, (1, 2, 2), (1, 1, 1))
    assert 'aten::mkldnn_convolution' in called
    assert 'aten::slow_conv3d_forward' not in called


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='PyTorch without oneDNN')
def test_one_pass_over_the_result():
    called = _called(torch.randn(1, 8, 16, 16, 3), torch.randn(5, 3, 3, 3, 3), None, (1, 2, 2), (1, 1, 1), gelu=True)
    assert 'mkldnn::_convolution_pointwise' in called and 'aten::gelu' not in called
