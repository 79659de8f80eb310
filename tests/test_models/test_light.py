"""What the light models must survive and the release's do not: threads, processes, checkpointing, half precision."""
import copy
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from mmuniformer.models import UniFormerLight, UniFormerLight3D
from mmuniformer.models.layers import HourglassBlock

from .reference import uniformer

ROOT = Path(__file__).resolve().parents[2]
TINY = dict(depths=[1, 1, 4, 2], embed_dims=[16, 32, 48, 64], head_dim=16, mlp_ratio=3, conv_stem=True)
CASES = {
    'image': (UniFormerLight, (4, 3, 64, 96)),
    'video': (UniFormerLight3D, (4, 3, 4, 64, 64)),
}


def build(case: str, **kwargs):
    """A model and an input; all four maps, so that every stage counts, unless told otherwise."""
    cls, shape = CASES[case]
    return cls(**{'arch': TINY, 'out_norm': 'LN', 'out_indices': (0, 1, 2, 3), **kwargs}), torch.rand(shape)


def loss_of(outputs) -> torch.Tensor:
    """A loss of every output, the mean over samples, that no normalisation makes constant."""
    loss = 0
    for m in outputs:
        weight = torch.arange(m[0].numel(), device=m.device).view(m.shape[1:]).cos()
        loss = loss + (m.float() * weight).flatten(1).sum(1).mean()
    return loss


# ---------------------------------------------------------------- any size of image
@pytest.mark.parametrize('size', [(70, 50), (33, 127), (98, 65)])
def test_maps_of_any_size_are_the_references(size):
    """Maps that are no multiples of the next stage's patches: rows and columns that patches leave out have scores."""
    keep = ((1, 0.5, 0.5, 0.5), (0.5, 0.5))
    model = UniFormerLight(dict(TINY, keep_ratios=keep)).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images = torch.rand(2, 3, *size, dtype=torch.float64)
    ours = model(images)
    theirs = uniformer(images, dict(model.state_dict()), head_dim=16, out_norm='LN', training=False,
                       keep_ratios=keep)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_tokens_return_to_their_places():
    """With blocks that add nothing, a token comes out where it went in, whatever the order of the scores was."""
    block = HourglassBlock(2, 16, 8, 2., keep_ratio=0.5)
    for layer in (block.attn.proj, block.mlp.fc2, block.pos_embed):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    # More tokens than bfloat16 has whole numbers, which the release keeps the order in.
    x, score = torch.randn(2, 30, 40, 16), torch.rand(2, 1200)
    for dtype in (None, torch.bfloat16, torch.float16):
        with torch.autocast('cpu', dtype, enabled=dtype is not None):
            assert torch.equal(block(x, torch.zeros(2, 1, 16), score)[0], x)


# ---------------------------------------------------------------- no state outside of a call
@pytest.mark.parametrize('case', CASES)
def test_two_models_in_two_threads(case):
    """Each gives what it gives alone, in evaluation and in training; inputs of different sizes would not even fit."""
    models = [build(case, out_cls_token=True)[0] for _ in range(2)]
    inputs = [build(case)[1], build(case)[1][..., :32]]

    def work(index: int) -> list[torch.Tensor]:
        found = []
        for training in (False, True) * 2:
            model = copy.deepcopy(models[index]).train(training)
            outputs = model(inputs[index])
            loss_of(outputs).backward()
            found += [*outputs, *(parameter.grad for parameter in model.parameters())]
        return found

    alone = [work(index) for index in range(2)]
    together, start = [None, None], threading.Barrier(2)

    def thread(index: int) -> None:
        start.wait()
        together[index] = work(index)

    threads = [threading.Thread(target=thread, args=(index, )) for index in range(2)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    for expected, found in zip(alone, together, strict=True):
        torch.testing.assert_close(found, expected)


PROCESS = """
import sys, torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from tests.test_models.test_light import build, loss_of, trained

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
for case in ('image', 'video'):
    model, x = torch.load(f'{folder}/{case}.pth', weights_only=False)
    parallel = DistributedDataParallel(model)  # an unused parameter would be an error in the second step
    trained(parallel, x[2 * rank:2 * rank + 2])
    torch.save(model.state_dict(), f'{folder}/{case}-{rank}.pth')
dist.destroy_process_group()
"""


def trained(model, x: torch.Tensor) -> None:
    """Three steps on one batch."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        loss_of(model(x)).backward()
        optimizer.step()


def test_two_processes_train_as_one(tmp_path):
    """DistributedDataParallel over half of the batch each, against one process with the whole batch."""
    alone = {}
    for case in CASES:
        # BatchNorms use running statistics: those of a batch would be of half of it in each process.
        model, x = build(case, out_cls_token=True, norm_eval=True)
        torch.save((model, x), tmp_path / f'{case}.pth')
        before = copy.deepcopy(model.state_dict())
        trained(model, x)
        alone[case] = model.state_dict()
        moved = [name for name, p in model.named_parameters() if not torch.equal(p, before[name])]
        assert len(moved) == len(list(model.parameters()))
    env = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}
    logs = [open(tmp_path / f'{rank}.log', 'w') for rank in range(2)]
    processes = [subprocess.Popen([sys.executable, '-c', PROCESS, str(rank), str(tmp_path)], env=env, cwd=ROOT,
                                  stdout=log, stderr=log) for rank, log in enumerate(logs)]
    try:
        codes = [process.wait(timeout=300) for process in processes]
    finally:
        for process, log in zip(processes, logs):
            process.kill()
            log.close()
    assert codes == [0, 0], ''.join((tmp_path / f'{rank}.log').read_text()[-5000:] for rank in range(2))
    for case, expected in alone.items():
        for rank in range(2):
            found = torch.load(tmp_path / f'{case}-{rank}.pth', weights_only=True)
            torch.testing.assert_close(found, dict(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('with_cp', [True, (0, 0, 3, 1)])
def test_activation_checkpointing(case, with_cp):
    """Outputs, gradients and running statistics stay, with the random numbers of stochastic depth; less is kept."""
    plain, x = build(case, drop_path_rate=0.3)
    checkpointed, _ = build(case, drop_path_rate=0.3, with_cp=with_cp)
    checkpointed.load_state_dict(plain.state_dict())
    kept = []
    for model in (plain, checkpointed):
        torch.manual_seed(0)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            loss = loss_of(model.train()(x))
        kept.append(sum(sizes))
        loss.backward()
    for (name, a), b in zip(plain.named_parameters(), checkpointed.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda text, name=name: f'{name}: {text}')
    torch.testing.assert_close(dict(plain.named_buffers()), dict(checkpointed.named_buffers()))
    assert kept[1] < kept[0] * (0.5 if with_cp is True else 0.9)


# ---------------------------------------------------------------- half precision
def large(case: str):
    """A model whose branches each fit into float16 and whose sum of them does not, and an input."""
    model, x = build(case)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(('blocks3', 'blocks4')) and name.endswith(('attn.proj.weight', 'mlp.fc2.weight')):
                parameter *= 5e5
    return model.eval(), x


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return ((found.float() - expected).square().mean() / expected.square().mean()).sqrt().item()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('case', CASES)
def test_large_activations(case, dtype):
    model, x = large(case)
    peaks = []
    for stage in (model.blocks3, model.blocks4):
        for block in stage:
            block.register_forward_hook(lambda _, args, outputs: peaks.append(outputs[0].abs().max().item()))
    with torch.no_grad():
        expected = model(x)
        assert max(peaks) > 1.2 * torch.finfo(torch.float16).max
        with torch.autocast('cpu', dtype):
            found = model(x)
        plain = copy.deepcopy(model).to(dtype)(x.to(dtype))
    for ours, full in zip(found, expected, strict=True):
        assert ours.isfinite().all() and error(ours, full) < 0.03
    # With everything in half precision the sum overflows float16.
    assert plain[-1].isfinite().all() == (dtype == torch.bfloat16)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
@pytest.mark.parametrize('case', CASES)
def test_gradients_of_large_activations(case, dtype):
    """Finite, and in the direction of float32's."""
    model, x = large(case)
    gradients = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast('cpu', dtype, enabled=enabled):
            loss = loss_of(model(x))
        loss.backward()
        gradients.append(torch.cat([p.grad.flatten() / p.grad.norm().clamp_min(1e-30) for p in model.parameters()]))
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert torch.cosine_similarity(*gradients, dim=0) > 0.9


def test_half_precision_compiles_without_a_graph_break():
    model, x = build('image')
    model.eval()
    torch._dynamo.reset()
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        torch.testing.assert_close(torch.compile(model, backend='eager', fullgraph=True)(x), model(x))


@pytest.mark.parametrize('dtype', [None, torch.float16, torch.bfloat16])
def test_a_class_token_that_attends_to_one_token_alone(dtype):
    """Large logits leave the other tokens a score of exactly 0, by whose sum the representative token is divided."""
    block = HourglassBlock(2, 16, 8, 2., keep_ratio=0.5)
    torch.nn.init.normal_(block.attn.qkv.weight, std=8.)
    x, cls_token = torch.randn(2, 8, 8, 16, requires_grad=True), torch.randn(2, 1, 16, requires_grad=True)
    start = HourglassBlock(2, 16, 8, 2., keep_ratio=1)
    start.attn.load_state_dict(block.attn.state_dict())
    with torch.autocast('cpu', dtype, enabled=dtype is not None):
        y, token, score = start(x, cls_token, None)
        assert (score.sort(1).values[:, :32] == 0).all(), 'the half of the tokens that is shrunk has scores'
        y, token, score = block(y, token, score)
    assert y.isfinite().all() and token.isfinite().all() and score.isfinite().all()
    (y.float().cos().sum() + token.float().sum() + score.sum()).backward()
    for name, tensor in (('x', x), ('cls_token', cls_token), *block.named_parameters(), *start.named_parameters()):
        assert tensor.grad is None or tensor.grad.isfinite().all(), name
