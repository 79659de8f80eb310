"""Depthwise convolutions and their gradients against PyTorch's in double precision."""
import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmuniformer.models.layers.checkpointing import checkpointed
from mmuniformer.models.layers.conv import depthwise, position_embedding
from mmuniformer.ops import depthwise_convolve

KERNELS = [(3, 3), (5, 5), (1, 7), (3, 3, 3), (5, 5, 5), (1, 3, 5), (3, 7, 1), (3, 1, 9)]
SHAPES = [(2, 3, 7, 6), (1, 1, 1, 1), (3, 2, 1, 9), (2, 6, 5, 2)]


def _tensors(kernel, shape=SHAPES[0], channels=5, dtype=torch.float64):
    """A map of the kernel's dimensions, the kernel, the bias."""
    shape = (*shape[:1], *shape[-len(kernel):], channels)
    return [torch.randn(size, dtype=dtype).requires_grad_()
            for size in (shape, (channels, 1, *kernel), (channels, ))]


def _plain(x, weight, bias, add_input=False):
    conv = F.conv2d if weight.ndim == 4 else F.conv3d
    y = conv(x.movedim(-1, 1), weight, bias, padding=[side // 2 for side in weight.shape[2:]], groups=len(weight))
    return y.movedim(1, -1) + (x if add_input else 0)


def _assert_near(ours, expected, tolerance):
    for mine, theirs in zip(ours, expected):
        assert mine.shape == theirs.shape
        assert (mine.double() - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('kernel', KERNELS)
def test_same_value_and_gradients(kernel, shape):
    tensors = _tensors(kernel, shape)
    for add_input in (False, True):
        ours, plain = depthwise_convolve(*tensors, add_input), _plain(*tensors, add_input)
        upstream = torch.randn_like(plain)
        gradients = [torch.autograd.grad(y, tensors, upstream) for y in (ours, plain)]
        _assert_near((ours, *gradients[0]), (plain, *gradients[1]), 1e-12)
        assert ours.is_contiguous()


@pytest.mark.parametrize('kernel', [(3, 3), (5, 5), (3, 3, 3), (5, 5, 5)])
@pytest.mark.parametrize('channels', [16, 48, 21])
@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_every_precision(dtype, channels, kernel):
    """With channels in number for the fast code of the processor, too; in double precision there is none."""
    x, weight, bias = (t.detach().to(dtype).requires_grad_() for t in _tensors(kernel, (2, 3, 9, 14), channels))
    upstream = torch.randn(x.shape).to(dtype)
    y = depthwise_convolve(x, weight, bias)
    assert y.dtype == dtype
    exact = [t.detach().double().requires_grad_() for t in (x, weight, bias)]
    expected = _plain(*exact)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 2e-3}[dtype]
    _assert_near((y, *torch.autograd.grad(y, (x, weight, bias), upstream)),
                 (expected, *torch.autograd.grad(expected, exact, upstream.double())), tolerance)


@pytest.mark.parametrize('kernel', [(3, 5), (3, 3, 5)])
def test_gradients_of_gradients(kernel):
    tensors = _tensors(kernel, (1, 2, 2, 3), channels=2)
    assert torch.autograd.gradcheck(depthwise_convolve, tensors)
    assert torch.autograd.gradgradcheck(depthwise_convolve, tensors)


@pytest.mark.parametrize('frozen', [(0, ), (1, ), (2, ), (0, 1), (1, 2)])
def test_frozen_parts(frozen):
    tensors = _tensors((3, 3, 3))
    for index in frozen:
        tensors[index].requires_grad_(False)
    wanted = [t for t in tensors if t.requires_grad]
    gradients = [torch.autograd.grad(conv(*tensors).cos().sum(), wanted) for conv in (depthwise_convolve, _plain)]
    _assert_near(*gradients, 1e-12)
    assert depthwise_convolve(*(t.detach() for t in tensors)).grad_fn is None


def test_without_bias():
    x, weight, _ = _tensors((3, 5, 5))
    gradients = [torch.autograd.grad(conv(x, weight, None).cos().sum(), (x, weight))
                 for conv in (depthwise_convolve, _plain)]
    _assert_near(*gradients, 1e-12)


def test_maps_and_gradients_that_do_not_lie_in_a_row():
    x, weight, bias = _tensors((3, 3, 5))
    part = torch.cat([x, 2 * x], 3)[:, ::2, :, 1:7]
    upstream = torch.randn(*part.shape[:-1], 1, dtype=x.dtype).expand(part.shape).transpose(2, 3)
    gradients = [torch.autograd.grad(conv(part, weight, bias).transpose(2, 3), (x, weight, bias), upstream,
                                     retain_graph=True) for conv in (depthwise_convolve, _plain)]
    _assert_near(*gradients, 1e-12)


@pytest.mark.parametrize('make', [depthwise, position_embedding])
def test_autocast(make):
    layer = make(3, 16, *[5] * (make is depthwise))
    x = torch.randn(2, 3, 9, 8, 16, requires_grad=True)
    results = []
    for enabled in (False, True):
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            y = layer(x)
        gradients = torch.autograd.grad(y.float().cos().sum(), [x, *layer.parameters()])
        assert all(gradient.dtype == torch.float32 for gradient in gradients)
        results.append((y, *gradients))
    # A position embedding's map is added in the precision that it has.
    assert results[1][0].dtype == (torch.bfloat16 if make is depthwise else torch.float32)
    _assert_near(results[1], results[0], 0.05)


def test_a_layer_is_the_convolution_of_its_class():
    for ndim, kind in ((2, nn.Conv2d), (3, nn.Conv3d)):
        layer = depthwise(ndim, 6, 5)
        assert isinstance(layer, kind)
        x = torch.randn(2, *(4, 7, 6)[:ndim], 6)
        _assert_near([layer(x)], [kind.forward(layer, x.movedim(-1, 1)).movedim(1, -1)], 1e-5)


class _Two(nn.Module):

    def __init__(self):
        super().__init__()
        self.first, self.second = position_embedding(3, 8), depthwise(3, 8, 5)

    def forward(self, x):
        return self.second(self.first(x).sin())


def _gradients(run, model, x):
    model.zero_grad()
    x.grad = None
    run(x).cos().sum().backward()
    return [x.grad, *(p.grad for p in model.parameters())]


def test_activation_checkpointing():
    model, x = _Two(), torch.randn(2, 3, 6, 5, 8, requires_grad=True)
    expected = _gradients(model, model, x)
    _assert_near(_gradients(lambda x: checkpointed(model, x), model, x), [g.double() for g in expected], 1e-6)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
def test_compiled_in_one_graph_with_sizes_that_change(dtype):
    model = _Two()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True, dynamic=True)
    for size in ((2, 3, 6, 5), (2, 4, 7, 9), (1, 2, 3, 4)):
        x = torch.randn(*size, 8, requires_grad=True)
        with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
            expected = _gradients(model, model, x)
            result = _gradients(compiled, model, x)
        _assert_near(result, [g.double() for g in expected], 1e-5 if dtype == torch.float32 else 0.05)


def test_exported_program_holds_plain_convolutions():
    model, x = _Two(), torch.randn(2, 3, 6, 5, 8)
    program = torch.export.export(copy.deepcopy(model), (x, ))
    called = {str(node.target) for node in program.graph.nodes if node.op == 'call_function'}
    assert {'aten.conv3d.default'} <= called and not [name for name in called if not name.startswith('aten.')]
    _assert_near([program.module()(x)], [model(x).double()], 1e-5)


def test_traced_program_holds_plain_convolutions():
    model, x = _Two(), torch.randn(2, 3, 6, 5, 8)
    traced = torch.jit.trace(model, (x, ), check_trace=False)
    assert 'PythonOp' not in str(traced.inlined_graph) and '_convolution' in str(traced.inlined_graph)
    _assert_near([traced(x)], [model(x).double()], 1e-5)
