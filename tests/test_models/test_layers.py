"""Layers by themselves, where the backbones' tests do not show a fault clearly."""
from functools import partial

import pytest
import torch

from mmuniformer.models.layers import DropPath, FeedForward
from mmuniformer.models.layers.conv import depthwise, pointwise_conv
from mmuniformer.models.layers.window import window_partition, window_unpartition
from mmuniformer.ops import attention, pointwise


@pytest.mark.parametrize('height, width, size', [(8, 12, 4), (7, 9, 4), (3, 2, 5), (1, 1, 1), (5, 5, 1)])
def test_windows_come_back_as_they_were(height, width, size):
    x = torch.rand(2, height, width, 3)
    windows = window_partition(x, size)
    assert windows.shape == (2 * -(-height // size) * -(-width // size), size * size, 3)
    assert torch.equal(window_unpartition(windows, size, x.shape), x)


def test_a_window_holds_neighbours():
    rows, columns = torch.meshgrid(torch.arange(6.), torch.arange(6.), indexing='ij')
    windows = window_partition(torch.stack([rows, columns], -1)[None], 3)
    assert windows.shape == (4, 9, 2)
    assert ((windows.amax(1) - windows.amin(1)) == 2).all()


def test_drop_path_keeps_the_mean():
    layer = DropPath(0.25).train()
    x = torch.ones(20000, 2)
    y = layer(x)
    assert y.unique().tolist() == pytest.approx([0., 1 / 0.75])
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert torch.equal(y[:, 0], y[:, 1]), 'a sample is kept or dropped as a whole'


@pytest.mark.parametrize('rate', [-0.1, 1, 1.5])
def test_drop_path_of_an_impossible_rate(rate):
    with pytest.raises(ValueError, match=f'at least 0 and less than 1, got {rate}'):
        DropPath(rate)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize('tokens', [7, 300])
def test_attention_is_the_formula(dtype, tokens):
    q, k, v = torch.randn(3, 2, 2, tokens, 16, dtype=torch.float64)
    expected = torch.softmax(q @ k.transpose(-1, -2) / 4, -1) @ v
    result = attention(*(t.to(dtype) for t in (q, k, v)))
    assert result.dtype == dtype
    tolerance = {torch.float64: 1e-10, torch.float32: 1e-5}.get(dtype, 3e-2)
    torch.testing.assert_close(result.double(), expected, rtol=tolerance, atol=tolerance)


def test_attention_takes_long_sequences_in_half_precision_and_their_gradients():
    q, k, v = (t.clone().requires_grad_() for t in torch.randn(3, 1, 1, 2500, 8).bfloat16())
    attention(q, k, v).sum().backward()
    assert all(t.grad is not None and t.grad.isfinite().all() for t in (q, k, v))


def test_pointwise_is_a_1x1_convolution():
    x, weight, bias = torch.rand(2, 5, 4, 3), torch.rand(6, 3, 1, 1), torch.rand(6)
    expected = torch.nn.functional.conv2d(x.movedim(-1, 1), weight, bias).movedim(1, -1)
    torch.testing.assert_close(pointwise(x, weight, bias), expected)


def test_depthwise_gradients_in_half_precision_on_the_cpu():
    """PyTorch's own are wrong now and then: they depend on what the memory held before."""
    layer = depthwise(3, 64, 3)
    x = torch.rand(2, 2, 2, 2, 64)
    layer(x).square().sum().backward()
    expected = layer.weight.grad.clone()
    for _ in range(40):
        junk = [torch.full((size, ), 3e38) for size in range(1000, 200000, 8000)]
        del junk
        layer.weight.grad = None
        with torch.autocast('cpu', torch.bfloat16):
            layer(x).float().square().sum().backward()
        torch.testing.assert_close(layer.weight.grad, expected, rtol=0.05, atol=0.05 * expected.abs().max().item())


def _kept_by(network, x):
    """Sizes of what a feed-forward network keeps for its backward pass, without its weights."""
    weights = {parameter.data_ptr() for parameter in network.parameters()}
    kept = {}
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.setdefault(t.data_ptr(), t), lambda t: t):
        network(x)
    return sorted(t.numel() for pointer, t in kept.items() if pointer not in weights)


@pytest.mark.parametrize('linear', [torch.nn.Linear, partial(pointwise_conv, 3)])
def test_feed_forward_keeps_its_hidden_tokens_once(linear):
    network = FeedForward(8, 32, linear=linear)
    assert _kept_by(network, torch.rand(5, 8)) == [5 * 8, 5 * 32]


def test_feed_forward_calls_what_was_put_into_it():
    x, network = torch.rand(5, 8), FeedForward(8, 32)
    plain = network(x)
    seen = []
    handle = network.fc2.register_forward_hook(lambda *_: seen.append(True))
    torch.testing.assert_close(network(x), plain)
    handle.remove()
    assert seen

    network.fc2 = torch.nn.Sequential(network.fc2, torch.nn.Tanh())  # as an adapter would be
    torch.testing.assert_close(network(x), plain.tanh())
    network.fc2, network.act = network.fc2[0], torch.nn.ReLU()
    torch.testing.assert_close(network(x), network.fc2(network.fc1(x).relu()))
