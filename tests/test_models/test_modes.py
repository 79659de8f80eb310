"""Mixed precision, compilation, export, layout and memory of the backbones."""
import copy
import sys

import pytest
import torch
import torchvision
from torch.utils._python_dispatch import TorchDispatchMode

from mmuniformer.analysis.plain import Plain
from mmuniformer.analysis.timing import peak_resident, reset_peak_resident
from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from mmuniformer.models.layers.window import window_unpartition

TINY = dict(depths=[1, 2, 4, 1], embed_dims=[16, 32, 48, 64], head_dim=16)
LIGHT = dict(TINY, mlp_ratio=3, conv_stem=True)
CASES = {
    'image': (UniFormer, {}, (2, 3, 64, 96)),
    'image, hybrid': (UniFormer, dict(attention='hybrid', window_size=3), (2, 3, 64, 96)),
    'image, conv stem': (UniFormer, dict(arch=dict(TINY, conv_stem=True)), (2, 3, 64, 96)),
    'image, layer scale, BN': (UniFormer, dict(arch=dict(TINY, layer_scale=0.1), out_norm='BN'), (2, 3, 64, 96)),
    'video': (UniFormer3D, {}, (2, 3, 4, 64, 64)),
    'video, divided': (UniFormer3D, dict(attention='divided'), (2, 3, 4, 64, 64)),
    'light image': (UniFormerLight, dict(arch=dict(LIGHT, layer_scale=0.1), out_cls_token=True), (2, 3, 64, 96)),
    'light video': (UniFormerLight3D, dict(arch=LIGHT), (2, 3, 4, 64, 64)),
}


def _build(case, **kwargs):
    cls, case_kwargs, shape = CASES[case]
    return cls(**{'arch': TINY, **case_kwargs, **kwargs}), torch.rand(shape)


def _as_tuple(output):
    return tuple(output) if isinstance(output, (tuple, list)) else (output, )


def _loss(output):
    """A loss that no normalisation makes constant."""
    maps = [m.float() for m in _as_tuple(output)]
    return sum((m * torch.arange(m.numel()).view(m.shape).cos()).sum() for m in maps)


# ---------------------------------------------------------------- mixed precision
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('case', CASES)
def test_autocast(case, dtype):
    model, x = _build(case)
    model.eval()
    with torch.no_grad():
        expected = _as_tuple(model(x))
        with torch.autocast('cpu', dtype):
            outputs = _as_tuple(model(x))
    for ours, full in zip(outputs, expected):
        assert (ours.float() - full).abs().max() < 0.05 * full.abs().max()


@pytest.mark.parametrize('case', CASES)
def test_a_training_step_under_autocast_follows_float32(case):
    model, x = _build(case)
    gradients = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=enabled):
            loss = _loss(model(x))
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten().float() for p in model.parameters()]))
    assert all(g.isfinite().all() for g in gradients)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.95


# ---------------------------------------------------------------- compile and export
@pytest.mark.parametrize('case, training', [(case, case.endswith(('hybrid', 'video'))) for case in CASES])
def test_compiles_without_a_graph_break(case, training):
    model, x = _build(case, drop_path_rate=0.1 if training else 0.)
    model.train(training)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend='aot_eager', fullgraph=True)
    outputs = _as_tuple(compiled(x))
    if not training:
        torch.testing.assert_close(outputs, _as_tuple(model(x)), rtol=1e-4, atol=1e-5)
    _loss(outputs).backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize('case', ['image', 'video', 'light image'])
def test_compiles_with_activation_checkpointing(case):
    model, x = _build(case, with_cp=True)
    state, results = copy.deepcopy(model.state_dict()), []
    torch._dynamo.reset()
    for run in (model, torch.compile(model, backend='aot_eager', fullgraph=True)):
        model.load_state_dict(state)
        model.zero_grad()
        _loss(run(x)).backward()
        results.append({**{name: p.grad for name, p in model.named_parameters()},
                        **{name: buffer.clone() for name, buffer in model.named_buffers()}})
    torch.testing.assert_close(*results, rtol=1e-3, atol=1e-3)


def test_a_compiled_crop_of_windows_is_a_slice():
    graphs = []
    torch._dynamo.reset()
    torch.compile(window_unpartition, backend=lambda graph, _: graphs.append(graph) or graph)(
        torch.rand(4, 9, 2), 3, (1, 5, 5, 2))
    assert not any(node.target == 'index_select' for node in graphs[0].graph.nodes)


@pytest.mark.parametrize('case', CASES)
def test_trains_on_the_meta_device(case):
    model, x = _build(case)
    outputs = _as_tuple(model.to('meta').train()(x.to('meta')))
    assert all(output.is_meta and output.requires_grad for output in outputs)


@pytest.mark.parametrize('case', ['light image', 'light video'])
def test_trains_with_deterministic_algorithms(case):
    model, x = _build(case)
    nodes, seen = [output.grad_fn for output in _as_tuple(model.train()(x))], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [following for following, _ in node.next_functions]
    assert 'AvgPool3DBackward0' not in {node.name() for node in seen}, 'it has no such way on CUDA'


@pytest.mark.parametrize('case', CASES)
def test_exports_with_dynamic_batch_height_and_width(case):
    model, x = _build(case)
    model.eval()
    auto = torch.export.Dim.AUTO
    program = torch.export.export(model, (x, ), dynamic_shapes=({0: auto, x.ndim - 2: auto, x.ndim - 1: auto}, ))
    for other in (x, torch.rand(3, *x.shape[1:-2], 96, 160)):
        torch.testing.assert_close(_as_tuple(program.module()(other)), _as_tuple(model(other)), rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- layout and memory
class _Recorder(TorchDispatchMode):
    """Notes every operation with the size of its result."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.calls.append((func.overloadpacket.__name__, tuple(result.shape)))
        return result


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('case', ['image', 'image, conv stem', 'image, layer scale, BN', 'video', 'light image',
                                  'light video'])
def test_copies_only_what_comes_in_and_what_goes_out(case, training):
    model, x = _build(case)
    model.train(training)
    with torch.set_grad_enabled(training), _Recorder() as recorder:
        maps = [m for m in _as_tuple(model(x)) if m.ndim == x.ndim]  # a class token is no map
    copies = [shape for name, shape in recorder.calls if name in ('clone', 'copy_', 'contiguous', '_to_copy')]
    assert len(copies) == 1 + len(maps), f'inside the layout stays channels-last, but there were copies: {copies}'
    for m in maps:
        assert m.is_contiguous()


@pytest.mark.parametrize('case', ['image', 'image, hybrid'])
def test_operators_that_read_memory_as_it_lies_get_it_as_they_expect(case):
    """MMCV's RoIAlign, without a word, gives wrong values for channels-last maps."""
    from mmcv.ops import RoIAlign
    model, x = _build(case)
    rois = x.new_tensor([[0, 3., 5, 30, 40], [1, 10, 10, 50, 60]])
    with torch.no_grad():
        for m in model.eval()(x)[:2]:
            scale = m.shape[-1] / x.shape[-1]
            ours = RoIAlign(4, scale, sampling_ratio=2)(m, rois)
            exact = torchvision.ops.roi_align(m, rois, 4, scale, sampling_ratio=2, aligned=True)
            torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('case', ['image', 'image, hybrid', 'video', 'light image', 'light video'])
def test_no_attention_matrix_is_kept(case):
    cls, kwargs, shape = CASES[case]
    model = cls(**{'arch': TINY, **kwargs})
    x = torch.rand(1, *shape[1:-2], 320, 224)
    tokens = 20 * 14 * (shape[2] // 2 if len(shape) == 5 else 1)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.shape) or t, lambda t: t), \
            _Recorder() as recorder:
        loss = _loss(model(x))
        loss.backward()
        with torch.no_grad():
            model.eval()(x)
    seen = [shape for _, shape in recorder.calls] + saved
    # Light models add a class token, and most of their blocks keep half of the tokens.
    assert not [s for s in seen if len(s) > 2 and s[-1] == s[-2] > tokens // 3]
    assert [s for s in saved if any(tokens + more in s for more in (0, 1))], 'the tokens of stage 3 are not seen at all'


@pytest.mark.skipif(sys.platform != 'linux', reason='memory is read from /proc')
def test_peak_memory_holds_no_attention_matrix():
    """Nor does a fused kernel write one where no operation shows it: three of 64 MiB each in stage 3."""
    model = UniFormer(dict(depths=[1, 1, 1, 1], embed_dims=[8, 16, 48, 64], head_dim=16))
    x, matrices = torch.rand(1, 3, 1024, 1024), 3 * 4 * 4096**2

    def rise(network, training):
        reset_peak_resident()
        before = peak_resident()
        with torch.set_grad_enabled(training):
            loss = _loss(network.train(training)(x))
            if training:
                loss.backward()
        return peak_resident() - before

    assert rise(model, training=False) < matrices
    assert rise(model, training=True) < matrices
    assert rise(Plain(model), training=False) > matrices, 'the matrices of the plain network are not seen at all'
