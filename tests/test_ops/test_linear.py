"""Linear and GELU, or a sum, in one operation; GELU and Linear that keep less for the backward pass."""
import pytest
import torch
import torch.nn.functional as F

from mmuniformer.ops import gelu_linear, linear_add, linear_gelu


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('trailing', [(), (1, 1, 1)])
def test_is_linear_and_gelu(dtype, trailing):
    x, weight, bias = (t.to(dtype) for t in (torch.randn(2, 5, 3, 17), torch.randn(9, 17, *trailing), torch.randn(9)))
    expected = F.gelu(F.linear(x.double(), weight.double().flatten(1), bias.double()))
    result = linear_gelu(x, weight, bias)
    assert result.dtype == dtype
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    assert (result.double() - expected).abs().max() < tolerance * expected.abs().max()


def test_autocast():
    x, weight, bias = torch.randn(6, 17), torch.randn(9, 17), torch.randn(9)
    with torch.autocast('cpu', torch.bfloat16):
        result = linear_gelu(x, weight, bias)
    assert result.dtype == torch.bfloat16
    expected = F.gelu(F.linear(x, weight, bias))
    assert (result.float() - expected).abs().max() < 0.02 * expected.abs().max()


def test_input_that_does_not_lie_in_a_row():
    x, weight, bias = torch.randn(4, 17, 6).transpose(1, 2)[:, ::2], torch.randn(9, 17), torch.randn(9)
    torch.testing.assert_close(linear_gelu(x, weight, bias), F.gelu(F.linear(x, weight, bias)), rtol=1e-5, atol=1e-5)


def test_gradients_flow_where_they_are_wanted():
    x, weight, bias = torch.randn(6, 17, requires_grad=True), torch.randn(9, 17), torch.randn(9)
    gradient, = torch.autograd.grad(linear_gelu(x, weight, bias).sum(), x)
    expected, = torch.autograd.grad(F.gelu(F.linear(x, weight, bias)).sum(), x)
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize('trailing', [(), (1, 1, 1)])
def test_is_linear_and_sum(dtype, trailing):
    x, weight, bias, residual = (t.to(dtype) for t in (
        torch.randn(2, 5, 3, 17), torch.randn(9, 17, *trailing), torch.randn(9), torch.randn(2, 5, 3, 9)))
    before = residual.clone()
    expected = residual.double() + F.linear(x.double(), weight.double().flatten(1), bias.double())
    result = linear_add(x, weight, bias, residual)
    assert result.dtype == dtype and torch.equal(residual, before)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-2}[dtype]
    assert (result.double() - expected).abs().max() < tolerance * expected.abs().max()


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_sum_under_autocast_has_the_precision_of_the_residual(dtype):
    x, weight, bias, residual = torch.randn(6, 17), torch.randn(9, 17), torch.randn(9), torch.randn(6, 9).to(dtype)
    with torch.autocast('cpu', torch.bfloat16):
        result = linear_add(x, weight, bias, residual)
    assert result.dtype == dtype
    expected = residual + F.linear(x, weight, bias)
    assert (result - expected).abs().max() < 0.02 * expected.abs().max()


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason='PyTorch without oneDNN')
def test_one_pass_over_the_result():
    x, weight, bias, residual = torch.randn(6, 17), torch.randn(9, 17), torch.randn(9), torch.randn(6, 9)
    for run, parts in ((lambda: linear_gelu(x, weight, bias), ('aten::addmm', 'aten::gelu')),
                       (lambda: linear_add(x, weight, bias, residual), ('aten::addmm', 'aten::add'))):
        with torch.profiler.profile(acc_events=True) as profile:
            run()
        called = {event.key for event in profile.key_averages()}
        assert 'mkldnn::_linear_pointwise' in called and called.isdisjoint(parts)


@pytest.mark.parametrize('wanted', range(4))
def test_gradients_of_the_sum(wanted):
    inputs = [torch.randn(6, 17), torch.randn(9, 17), torch.randn(9), torch.randn(6, 9)]
    inputs[wanted].requires_grad_()
    x, weight, bias, residual = inputs
    output = torch.randn(6, 9)
    gradient, = torch.autograd.grad(linear_add(*inputs), inputs[wanted], output)
    expected, = torch.autograd.grad(residual + F.linear(x, weight, bias), inputs[wanted], output)
    torch.testing.assert_close(gradient, expected)


def gelu_and_linear(x, weight, bias):
    return F.linear(F.gelu(x), weight.flatten(1), bias)


def gelu_linear_inputs(dtype=torch.float32, trailing=()):
    shapes = (2, 5, 3, 17), (9, 17, *trailing), (9, )
    return tuple(torch.randn(*shape, dtype=dtype, requires_grad=True) for shape in shapes)


@pytest.mark.parametrize('trailing', [(), (1, 1, 1)])
@pytest.mark.parametrize('autocast', [False, True])
def test_gelu_linear_is_gelu_and_linear(trailing, autocast):
    inputs = gelu_linear_inputs(trailing=trailing)
    with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
        results = [function(*inputs) for function in (gelu_linear, gelu_and_linear)]
    assert results[0].dtype == results[1].dtype
    torch.testing.assert_close(*results)
    output = torch.randn_like(results[0])
    tolerance = dict(rtol=1e-2, atol=1e-2) if autocast else {}
    for ours, theirs in zip(*(torch.autograd.grad(result, inputs, output) for result in results)):
        torch.testing.assert_close(ours, theirs, **tolerance)


def test_gelu_linear_gradients_of_gradients():
    inputs = gelu_linear_inputs(torch.float64)
    assert torch.autograd.gradcheck(gelu_linear, inputs)
    assert torch.autograd.gradgradcheck(gelu_linear, inputs)


@pytest.mark.parametrize('frozen', range(3))
def test_gelu_linear_with_frozen_inputs(frozen):
    inputs = gelu_linear_inputs()
    inputs[frozen].requires_grad_(False)
    wanted = [tensor for tensor in inputs if tensor.requires_grad]
    for ours, theirs in zip(*(torch.autograd.grad(function(*inputs).sum(), wanted)
                              for function in (gelu_linear, gelu_and_linear))):
        torch.testing.assert_close(ours, theirs)


def test_gelu_linear_keeps_its_input_and_weight_alone():
    inputs, kept = gelu_linear_inputs(), []
    with torch.autograd.graph.saved_tensors_hooks(kept.append, lambda _: None):
        gelu_linear(*inputs)
    assert [tensor.data_ptr() for tensor in kept] == [tensor.data_ptr() for tensor in inputs[:2]]
