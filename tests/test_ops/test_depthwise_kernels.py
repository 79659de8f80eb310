"""The Triton kernels against PyTorch's convolution in double precision.

On a machine with a GPU they run on it. Anywhere else they run in Triton's interpreter, in a process of its own, since
Triton reads whether to interpret when it is imported: there, every test of this file but the first is run again.
"""
import logging
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip('triton')

from mmuniformer.models.layers import LocalBlock  # noqa: E402
from mmuniformer.ops import depthwise_convolve, depthwise_cuda  # noqa: E402

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
INTERPRETED = depthwise_cuda.INTERPRETED
runs_kernels = pytest.mark.skipif(DEVICE == 'cpu' and not INTERPRETED, reason='runs in the interpreter, by a test here')
needs_gpu = pytest.mark.skipif(DEVICE == 'cpu', reason='needs a GPU')
compiles = pytest.mark.skipif(INTERPRETED, reason='the interpreter compiles nothing')

DTYPES = [torch.float32, torch.float16, torch.bfloat16]
TOLERANCES = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}
#: Kernel, map ``(B, *S)``, channels: odd sizes, maps smaller than the kernel, channels that fill no tile or several.
CASES = [
    ((3, 3, 3), (2, 3, 2, 5), 16),
    ((5, 5, 5), (1, 2, 3, 4), 70),
    ((3, 3), (2, 5, 7), 33),
    ((5, 5), (1, 3, 11), 1),
    ((1, 3, 5), (2, 4, 1, 3), 8),
]


@pytest.mark.skipif(DEVICE == 'cuda' or INTERPRETED, reason='the other tests run as they are')
def test_in_the_interpreter(tmp_path):
    environment = {**os.environ, 'TRITON_INTERPRET': '1', 'MMUNIFORMER_DEPTHWISE': 'triton'}
    report = tmp_path / 'run.xml'
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', f'--junitxml={report}', __file__]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900,
                          cwd=Path(__file__).resolve().parents[2])
    assert done.returncode == 0, done.stdout[-3000:]
    run = ElementTree.parse(report).find('testsuite')
    assert int(run.get('tests')) - int(run.get('skipped')) > 25


def _tensors(kernel, shape, channels, dtype=torch.float32):
    """A map, the kernel, the bias."""
    sizes = ((*shape, channels), (channels, 1, *kernel), (channels, ))
    return [torch.randn(size).to(DEVICE, dtype).requires_grad_() for size in sizes]


def _plain(x, weight, bias, add_input=False):
    """In double precision, of tensors that share no graph with those given."""
    x, weight, bias = (None if t is None else t.detach().double().requires_grad_() for t in (x, weight, bias))
    conv = F.conv2d if weight.ndim == 4 else F.conv3d
    y = conv(x.movedim(-1, 1), weight, bias, padding=[side // 2 for side in weight.shape[2:]], groups=len(weight))
    return y.movedim(1, -1) + (x if add_input else 0), [t for t in (x, weight, bias) if t is not None]


def _assert_near(ours, expected, tolerance):
    for mine, theirs in zip(ours, expected, strict=True):
        assert mine.shape == theirs.shape
        assert (mine.double() - theirs).abs().max() <= tolerance * theirs.abs().max()


def _kernels():
    from mmuniformer.ops import triton_depthwise
    return triton_depthwise


# ---------------------------------------------------------------- the kernels themselves
@runs_kernels
@pytest.mark.parametrize('case', CASES, ids=str)
def test_every_tile(case):
    x, weight, bias = _tensors(*case)
    kernels, upstream = _kernels(), torch.randn_like(x)
    y, exact = _plain(x, weight, None)
    gradient = torch.autograd.grad(y, exact[1], upstream.double())
    with torch.no_grad():
        for tile in kernels.CONVOLVE_TILES:
            _assert_near([kernels.convolve(x, weight, None, False, tile)], [y], 1e-5)
            _assert_near([kernels.convolve(x, weight, bias, True, tile)], [y + x + bias], 1e-5)
        for tile in kernels.KERNEL_GRADIENT_TILES:
            _assert_near([kernels.kernel_gradient(x, upstream, case[0], tile)], gradient, 1e-5)


@runs_kernels
def test_gradient_of_many_parts(monkeypatch):
    """More positions than one program takes, and a last part that is not full."""
    kernels = _kernels()
    x, weight, _ = _tensors((3, 3), (3, 9, 7), 5)
    upstream = torch.randn_like(x)
    y, exact = _plain(x, weight, None)
    expected = torch.autograd.grad(y, exact[1], upstream.double())
    for programs in (1, 6, 30):
        monkeypatch.setattr(kernels, 'PROGRAMS', programs)
        first, again = (kernels.kernel_gradient(x, upstream, (3, 3), kernels.KERNEL_GRADIENT_TILES[0]) for _ in '12')
        _assert_near([first], expected, 1e-5)
        assert torch.equal(first, again), 'the order of the sums is always the same'


# ---------------------------------------------------------------- the convolution that uses them
@runs_kernels
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('add_input, case', [(index % 2 == 0, case) for index, case in enumerate(CASES)], ids=str)
def test_value_and_gradients(case, add_input, dtype):
    tensors = _tensors(*case, dtype)
    upstream = torch.randn_like(tensors[0])
    y = depthwise_convolve(*tensors, add_input)
    assert y.dtype == dtype and y.is_contiguous()
    expected, exact = _plain(*tensors, add_input)
    _assert_near([y, *torch.autograd.grad(y, tensors, upstream)],
                 [expected, *torch.autograd.grad(expected, exact, upstream.double())], TOLERANCES[dtype])


@runs_kernels
def test_what_does_not_lie_in_a_row():
    x, weight, _ = _tensors((3, 3, 3), (1, 4, 3, 8), 10)
    part = x[:, ::2, :, 1:7].transpose(2, 3)[..., 2:]
    weight = weight[2:]
    upstream = torch.randn(*part.shape[:-1], 1, device=DEVICE).expand(part.shape)
    y = depthwise_convolve(part, weight, None)
    expected, exact = _plain(part, weight, None)
    _assert_near([y, *torch.autograd.grad(y, (part, weight), upstream)],
                 [expected, *torch.autograd.grad(expected, exact, upstream.double())], 1e-5)


@runs_kernels
def test_autocast_keeps_the_map_that_is_added_to():
    tensors = _tensors((3, 3, 3), (1, 2, 5, 4), 16)
    for add_input in (False, True):
        with torch.autocast(DEVICE, torch.bfloat16):
            y = depthwise_convolve(*tensors, add_input)
        assert y.dtype == (torch.float32 if add_input else torch.bfloat16)
        gradients = torch.autograd.grad(y.float().cos().sum(), tensors)
        assert all(gradient.dtype == torch.float32 for gradient in gradients)
        expected, exact = _plain(*tensors, add_input)
        _assert_near([y, *gradients], [expected, *torch.autograd.grad(expected.cos().sum(), exact)], 0.05)


@runs_kernels
def test_gradients_of_gradients():
    tensors = _tensors((3, 3), (1, 4, 3), 4)
    results = []
    for y, inputs in ((depthwise_convolve(*tensors, True), tensors), _plain(*tensors, True)):
        gradients = torch.autograd.grad(y.cos().sum(), inputs, create_graph=True)
        results.append(torch.autograd.grad(sum(g.square().sum() for g in gradients), inputs))
    _assert_near(*results, 1e-4)


@runs_kernels
@pytest.mark.parametrize('backend', ['aot_eager', 'inductor'])  # the second checks what it was told of strides
def test_compiled_in_one_graph(backend):
    tensors = _tensors((3, 3, 3), (2, 2, 4, 3), 8)
    torch._dynamo.reset()
    compiled = torch.compile(depthwise_convolve, backend=backend, fullgraph=True)
    results = [torch.autograd.grad(convolve(*tensors, True).cos().sum(), tensors)
               for convolve in (compiled, depthwise_convolve)]
    _assert_near(results[0], [gradient.double() for gradient in results[1]], 1e-6)


@runs_kernels
@pytest.mark.parametrize('ndim', [2, 3])
def test_a_block_trains_as_without_them(ndim, monkeypatch):
    block = LocalBlock(ndim, 8, 2., torch.nn.BatchNorm2d if ndim == 2 else torch.nn.BatchNorm3d).to(DEVICE)
    x = torch.randn(2, *(2, 3, 2)[-ndim:], 8, device=DEVICE)
    results = []
    for mode in ('triton', 'plain'):
        monkeypatch.setenv(depthwise_cuda.SWITCH, mode)
        block.zero_grad()
        y = block(x)
        y.cos().sum().backward()
        results.append([y, *(p.grad for p in block.parameters())])
    for mine, theirs in zip(*results):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


@runs_kernels
def test_no_positions():
    x, weight, bias = _tensors((3, 3), (0, 4, 3), 4)
    y = depthwise_convolve(x, weight, bias)
    assert y.shape == x.shape
    assert not torch.autograd.grad(y.sum(), weight)[0].any()


# ---------------------------------------------------------------- what runs anywhere
@compiles
@pytest.mark.parametrize('capability', [80, 90])
def test_compiles_for_gpus(capability):
    """To machine code, whether there is such a GPU here or not."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource
    kernels = _kernels()

    def compile_(function, pointers, tile, **constants):
        constants.update(KT=5, KH=5, KW=5, BLOCK_P=tile.positions, BLOCK_C=tile.channels)
        names = function.arg_names
        signature = {name: 'constexpr' if name in constants else pointers.get(name, 'i32') for name in names}
        source = ASTSource(function, signature, {(names.index(name), ): value for name, value in constants.items()})
        return triton.compile(source, GPUTarget('cuda', capability, 32), dict(num_warps=tile.warps))

    for dtype in ('fp32', 'bf16'):
        pointers = dict.fromkeys(('x_ptr', 'weight_ptr', 'bias_ptr', 'grad_ptr', 'out_ptr'), f'*{dtype}')
        done = [compile_(kernels._convolve, pointers, kernels.CONVOLVE_TILES[0], HAS_BIAS=True, ADD_INPUT=True),
                compile_(kernels._kernel_gradient, {**pointers, 'out_ptr': '*fp32'}, kernels.KERNEL_GRADIENT_TILES[0],
                         WIDTH=8, STEPS=4)]
        assert all(kernel.asm['cubin'] for kernel in done)


def test_the_switch(monkeypatch):
    x = torch.rand(1, 3, 3, 2)
    monkeypatch.setenv(depthwise_cuda.SWITCH, 'fast')
    with pytest.raises(ValueError, match="MMUNIFORMER_DEPTHWISE must be auto, plain or triton, not 'fast'"):
        depthwise_cuda._allowed()
    monkeypatch.setenv(depthwise_cuda.SWITCH, 'plain')
    assert not depthwise_cuda._allowed()
    monkeypatch.setenv(depthwise_cuda.SWITCH, 'triton')
    assert depthwise_cuda._allowed()
    assert depthwise_cuda.takes(x) == INTERPRETED, 'the CPU has kernels in the interpreter only'
    assert not depthwise_cuda.takes(x.double())


def test_what_can_not_be_compiled_is_left_to_pytorch_and_said_once(caplog, monkeypatch):
    monkeypatch.setattr(depthwise_cuda, '_broken', set())
    calls = []

    def fails(x):
        calls.append(x)
        raise RuntimeError('no such instruction')

    way = depthwise_cuda._or_plain('convolution', fails, lambda x: 2 * x)
    with caplog.at_level(logging.WARNING, 'mmuniformer'):
        assert [way(3), way(4)] == [6, 8] and calls == [3]
    assert [record.getMessage().count('no such instruction') for record in caplog.records] == [1]


# ---------------------------------------------------------------- the choice
@needs_gpu
@pytest.mark.parametrize('dtype', DTYPES)
def test_the_fastest_way_is_kept(dtype, monkeypatch):
    monkeypatch.setenv(depthwise_cuda.SWITCH, 'auto')
    monkeypatch.setattr(depthwise_cuda, '_fastest', {})
    monkeypatch.setattr(depthwise_cuda, '_broken', set())
    tensors = _tensors((3, 3, 3), (2, 4, 14, 14), 64, dtype)
    for _ in range(2):
        y = depthwise_convolve(*tensors)
        expected, exact = _plain(*tensors)
        upstream = torch.randn_like(y)
        _assert_near([y, *torch.autograd.grad(y, tensors, upstream)],
                     [expected, *torch.autograd.grad(expected, exact, upstream.double())], TOLERANCES[dtype])
    assert len(depthwise_cuda._fastest) == 3 and not depthwise_cuda._broken


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason='needs two GPUs')
def test_a_map_on_another_device_than_the_current_one(monkeypatch):
    monkeypatch.setenv(depthwise_cuda.SWITCH, 'triton')
    x, weight, bias = (tensor.detach().to('cuda:1') for tensor in _tensors((3, 3), (2, 14, 14), 64, torch.float32))
    with torch.cuda.device(0):
        result = depthwise_convolve(x, weight, bias)
    assert result.device == x.device
    _assert_near([result], [_plain(x, weight, bias)[0]], TOLERANCES[torch.float32])
