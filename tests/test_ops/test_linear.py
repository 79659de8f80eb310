"""Linear and GELU in one operation."""
import pytest
import torch
import torch.nn.functional as F

from mmuniformer.ops import linear_gelu


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
