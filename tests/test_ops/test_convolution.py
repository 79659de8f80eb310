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


def _called(*args):
    with torch.profiler.profile() as profile:
        convolve(*args)
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
