"""Runs with batches that make the loss or a gradient infinite or NaN."""
import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub

from mmuniformer.engine.hooks import NonFiniteError, NonFiniteHook
from mmuniformer.engine.hooks.non_finite_search import find_source

from . import toy

ROOT = Path(__file__).resolve().parents[2]
HOOK = 'mmuniformer.NonFiniteHook'


def log(runner) -> str:
    return next(Path(runner.log_dir).glob('*.log')).read_text()


def state(runner) -> dict:
    return copy.deepcopy(runner.model.state_dict())


def train(tmp_path, **kwargs):
    runner = toy.runner(tmp_path / 'run', **kwargs)
    runner.train()
    return runner


def hook_of(runner) -> NonFiniteHook:
    return next(hook for hook in runner.hooks if isinstance(hook, NonFiniteHook))


def assert_same(ours: dict, theirs: dict) -> None:
    for name, tensor in theirs.items():
        torch.testing.assert_close(ours[name], tensor, rtol=0, atol=0, msg=lambda m, name=name: f'{name}: {m}')


@pytest.mark.parametrize('way, name', [('forward', 'fragile (Fragile) made the first'),
                                       ('backward', 'fragile (Fragile) made the first non-finite gradient')])
def test_a_bad_batch_is_as_if_it_had_not_been(tmp_path, way, name):
    """Weights, running statistics and the optimiser end where a run without that batch ends."""
    bad = train(tmp_path / 'a', length=5, marked=[4], hooks=[dict(type=HOOK)],
                model=dict(type='ToyClassifier', way=way))
    good = train(tmp_path / 'b', length=4, hooks=[dict(type=HOOK)])
    assert_same(state(bad), state(good))
    assert hook_of(bad).total == 1 and hook_of(good).total == 0
    text = log(bad)
    assert name in text and 'iteration 5 is not finite (1 step in a row, 1 in all' in text
    assert 'non_finite: 1' in text and 'not finite' not in log(good)


def test_the_module_is_named_in_a_compiled_model():

    class Logarithm(torch.nn.Module):

        def forward(self, x):
            return (x - 1e9).log()

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), Logarithm(), torch.nn.Linear(4, 4))
    model.forward = torch.compile(model.forward, backend='eager')
    model(torch.rand(2, 4))

    def losses():
        loss = model(torch.rand(2, 4)).sum()
        return loss, dict(loss=loss)

    source = find_source(model, losses)
    assert (source.kind, source.module) == ('forward', '1')


def test_without_the_hook_the_weights_are_lost(tmp_path):
    runner = train(tmp_path, marked=[2], model=dict(type='ToyClassifier', way='backward'))
    assert not all(p.isfinite().all() for p in runner.model.parameters())


def test_the_hook_changes_nothing_in_a_good_run(tmp_path):
    with_hook = train(tmp_path / 'a', hooks=[dict(type=HOOK)])
    without = train(tmp_path / 'b')
    assert_same(state(with_hook), state(without))


def test_bad_data_are_named_and_leave_running_statistics_alone(tmp_path):
    runner = train(tmp_path, poison=[2], hooks=[dict(type=HOOK)])
    assert all(t.isfinite().all() for t in state(runner).values())
    assert 'the batch holds infinities or NaNs before any module has run' in log(runner)


def test_the_saved_batch_is_the_one(tmp_path):
    runner = train(tmp_path, marked=[3], hooks=[dict(type=HOOK)], model=dict(type='ToyClassifier', way='forward'))
    saved = torch.load(tmp_path / 'run/non_finite/iter_4.pth', weights_only=False)
    assert saved['iter'] == 4 and saved['source']['module'] == 'fragile' and saved['source']['kind'] == 'forward'
    assert saved['batch']['inputs'].eq(toy.MARK).all() and saved['batch']['labels'].tolist() == [1]
    losses = runner.model(**saved['batch'], mode='loss')
    assert not losses['loss_cls'].isfinite()


def test_only_so_many_batches_are_saved(tmp_path):
    train(tmp_path, marked=[1, 3, 5], hooks=[dict(type=HOOK, max_saved=2)],
          model=dict(type='ToyClassifier', way='forward'))
    assert len(list((tmp_path / 'run/non_finite').iterdir())) == 2


def test_stops_after_so_many_in_a_row_with_advice(tmp_path):
    runner = toy.runner(tmp_path / 'run', marked=[0, 1, 3, 4, 5, 6], hooks=[dict(type=HOOK, max_in_row=3)],
                        model=dict(type='ToyClassifier', way='forward'))
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    text = str(error.value)
    assert 'iteration 6' in text and '3 steps in a row, 5 in all' in text  # two, a finite one, three
    for hint in ('learning rate (now 0.001', 'augmentation', 'clip_grad'):
        assert hint in text
    assert all(t.isfinite().all() for t in state(runner).values())


def test_stop_stops_at_the_first(tmp_path):
    runner = toy.runner(tmp_path / 'run', marked=[2], hooks=[dict(type=HOOK, action='stop')],
                        model=dict(type='ToyClassifier', way='backward'))
    with pytest.raises(NonFiniteError, match='gradient of iteration 3'):
        runner.train()


def test_spoilt_weights_are_named_and_skipping_stops(tmp_path):
    runner = toy.runner(tmp_path / 'run', hooks=[dict(type=HOOK)])
    with torch.no_grad():
        runner.model.backbone.blocks3[0].attn.qkv.weight[0, 0] = torch.inf
    with pytest.raises(NonFiniteError, match='backbone.blocks3.0.attn.qkv.weight of the model itself'):
        runner.train()


class Spoil:
    """Not part of a config: spoils a weight before an iteration, as an overflowing step would."""

    def __new__(cls, at):
        from mmengine.hooks import Hook

        class SpoilHook(Hook):

            def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
                if runner.iter == at:
                    with torch.no_grad():
                        runner.model.fc.weight[0, 0] = torch.nan
        return SpoilHook()


def test_rolls_back_to_the_last_checkpoint_and_goes_on_with_the_schedule(tmp_path):
    runner = toy.runner(
        tmp_path / 'run', length=4, epochs=2, hooks=[dict(type=HOOK, action='rollback'), dict(type='EMAHook')],
        param_scheduler=dict(type='LinearLR', start_factor=1., end_factor=0.1, begin=0, end=8, by_epoch=False))
    runner.register_hook(Spoil(at=5))
    seen = {}
    rates = []

    original = NonFiniteHook._roll_back

    def watched(self, runner):
        before = [group['lr'] for group in runner.optim_wrapper.param_groups]
        done = original(self, runner)
        seen['model'] = state(runner)
        averaged = next(h for h in runner.hooks if type(h).__name__ == 'EMAHook').ema_model
        seen['ema'] = copy.deepcopy(averaged.state_dict())
        rates.append((before, [group['lr'] for group in runner.optim_wrapper.param_groups]))
        return done

    NonFiniteHook._roll_back = watched
    try:
        runner.train()
    finally:
        NonFiniteHook._roll_back = original
    checkpoint = torch.load(tmp_path / 'run/epoch_1.pth', weights_only=True)
    # with averaging, the file's `state_dict` holds the averages, and `ema_state_dict` the plain weights
    for name, tensor in seen['model'].items():
        torch.testing.assert_close(tensor, checkpoint['ema_state_dict'][f'module.{name}'], rtol=0, atol=0)
    for name, tensor in checkpoint['state_dict'].items():
        torch.testing.assert_close(seen['ema'][f'module.{name}'], tensor, rtol=0, atol=0)
    assert rates[0][0] == rates[0][1] and rates[0][0][0] < checkpoint['optimizer']['param_groups'][0]['lr']
    assert runner.iter == 8 and all(t.isfinite().all() for t in state(runner).values())
    assert 'Went back to the weights of ' in log(runner)


def test_rollback_passes_over_a_checkpoint_that_is_not_finite(tmp_path):
    run = tmp_path / 'run'
    runner = toy.runner(run, length=2, epochs=4, hooks=[dict(type=HOOK, action='rollback')])
    runner.register_hook(Spoil(at=3), priority='ABOVE_NORMAL')  # the second epoch's last: its checkpoint is spoilt
    runner.train()
    assert 'epoch_2.pth holds weights that are not finite' in log(runner)
    assert f'Went back to the weights of {run}/epoch_1.pth' in log(runner)
    assert all(t.isfinite().all() for t in state(runner).values())


def test_a_rollback_that_leads_to_the_same_place_ends(tmp_path):
    """Finite steps between two rollbacks to one checkpoint are not progress."""
    runner = toy.runner(tmp_path / 'run', length=12, epochs=2, marked=[2, 4, 6, 8],
                        hooks=[dict(type=HOOK, action='rollback', max_in_row=3)],
                        model=dict(type='ToyClassifier', way='forward'))
    with pytest.raises(NonFiniteError, match='3 steps in a row'):
        runner.train()
    assert runner.epoch == 1  # in the first there was no checkpoint, and finite steps between


def test_gradients_accumulated_with_a_bad_batch_are_dropped(tmp_path):
    wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3), accumulative_counts=2)
    bad = train(tmp_path / 'a', length=6, marked=[4], hooks=[dict(type=HOOK)], optim_wrapper=wrapper,
                model=dict(type='ToyClassifier', way='forward'))
    good = train(tmp_path / 'b', length=4, hooks=[dict(type=HOOK)], optim_wrapper=wrapper)
    weights = dict(good.model.named_parameters())
    assert_same({k: v for k, v in state(bad).items() if k in weights}, weights)


def test_activation_checkpointing(tmp_path):
    runner = train(tmp_path, marked=[3], hooks=[dict(type=HOOK)],
                   model=dict(type='ToyClassifier', way='backward', with_cp=True))
    assert 'fragile (Fragile) made the first non-finite gradient' in log(runner)


TWO = """
import json
import pathlib
import sys
import torch
import mmuniformer
from mmengine.registry import DATASETS
from tests.test_engine import toy
from tests.test_engine.test_non_finite import digest

torch.distributed.init_process_group('gloo')
runner = toy.runner(
    sys.argv[1], length=8, marked=[5], hooks=[dict(type='mmuniformer.NonFiniteHook')], launcher='pytorch',
    model=dict(type='ToyClassifier', way=sys.argv[2]), env_cfg=dict(dist_cfg=dict(backend='gloo')),
    model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False))
runner.train()
total = next(h for h in runner.hooks if type(h).__name__ == 'NonFiniteHook').total
pathlib.Path(sys.argv[1], f'rank{torch.distributed.get_rank()}.json').write_text(json.dumps([digest(runner), total]))
"""


def digest(runner) -> float:
    assert all(t.isfinite().all() for t in runner.model.state_dict().values())
    return sum(p.double().abs().sum().item() for p in runner.model.parameters())


@pytest.mark.parametrize('way', ['forward', 'backward'])
def test_two_processes_leave_out_the_step_together(tmp_path, way):
    """The bad clip is in the second process only, in the third of four steps."""
    (tmp_path / 'two.py').write_text(TWO)
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    result = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=0', '--standalone',
         str(tmp_path / 'two.py'), str(tmp_path / 'run'), way], env=env, cwd=ROOT, text=True, capture_output=True,
        timeout=120)
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    # read from files: the two processes' lines run into each other on a shared pipe
    first, second = (json.loads((tmp_path / f'run/rank{rank}.json').read_text()) for rank in (0, 1))
    assert first == second and first[1] == 1, (first, second)
    assert 'iteration 3 is not finite' in text and 'fragile (Fragile) made the first' in text
    assert sorted(p.name for p in (tmp_path / 'run/non_finite').iterdir()) == ['iter_3_rank0.pth', 'iter_3_rank1.pth']


@pytest.fixture
def scaler_on_cpu(monkeypatch):
    """MMEngine's AmpOptimWrapper asks for a GPU; PyTorch's scaler and autocast work without."""
    from mmengine.optim.optimizer import amp_optimizer_wrapper
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', lambda **kwargs: torch.amp.GradScaler('cpu', **kwargs))


def amp(scale, **kwargs):
    return dict(type='AmpOptimWrapper', optimizer=dict(type='AdamW', lr=1e-3), dtype='bfloat16', loss_scale=scale,
                **kwargs)


@pytest.mark.parametrize('clip_grad', [None, dict(max_norm=1.)])
def test_a_loss_scaler_that_looks_for_its_scale_is_left_alone(tmp_path, scaler_on_cpu, clip_grad):
    wrapper = amp(dict(init_scale=2.**127, growth_interval=100), clip_grad=clip_grad)
    runner = train(tmp_path, hooks=[dict(type=HOOK, action='stop')], optim_wrapper=wrapper)
    assert runner.optim_wrapper.loss_scaler.get_scale() < 2.**127, 'the scale was not too large at first'
    assert hook_of(runner).total == 0


def test_a_gradient_that_is_bad_at_any_scale_is_caught(tmp_path, scaler_on_cpu):
    wrapper = amp(dict(init_scale=4., growth_interval=100))
    runner = toy.runner(tmp_path / 'run', marked=range(1, 8), hooks=[dict(type=HOOK, max_in_row=3)],
                        optim_wrapper=wrapper, model=dict(type='ToyClassifier', way='backward'))
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    # scales 4 and 2 are the scaler's own affair; then at 1, 0.5, 0.25
    assert 'iteration 6 ' in str(error.value) and 'fragile' in str(error.value)
    assert 'compute attention in float32' in str(error.value)
    assert all(t.isfinite().all() for t in state(runner).values())


def test_a_fixed_scale_far_too_large(tmp_path, scaler_on_cpu):
    """Every gradient overflows on its way through the last layer, though loss and weights are finite.

    Its rows are equal and 2^10, so both classes are as likely, and the gradients of the scores are 2^126 and -2^126:
    finite, but no more when they are multiplied by the weights.
    """
    runner = toy.runner(tmp_path / 'run', hooks=[dict(type=HOOK, max_in_row=3, max_saved=2)],
                        optim_wrapper=amp(2.**127))
    torch.nn.init.constant_(runner.model.fc.weight, 2.**10)
    torch.nn.init.zeros_(runner.model.fc.bias)
    before = state(runner)
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    text = str(error.value)
    assert 'gradient of iteration 3 is not finite (3 steps in a row' in text
    assert 'fc (Linear) made the first non-finite gradient in the backward pass, from finite ones' in text
    assert "loss_scale='dynamic') or lower it (now fixed at 1.701e+38)" in text
    assert_same(state(runner), before)
    saved = [torch.load(tmp_path / f'run/non_finite/iter_{number}.pth', weights_only=False) for number in (1, 2)]
    assert [each['source']['module'] for each in saved] == ['fc', 'fc']
    clips = [runner.train_dataloader.dataset[number]['inputs'] for number in range(2)]
    assert all(torch.equal(each['batch']['inputs'][0], clip) for each, clip in zip(saved, clips))


@pytest.mark.parametrize('action, bad', [('skip', [10, 11, 12]), ('rollback', [10, 12, 14])])
def test_a_learning_rate_far_too_high_stops_it(tmp_path, action, bad):
    """After eight good steps one makes weights so large that the sums of the first convolution overflow.

    Each return to the checkpoint of the good steps is followed by such a step, which is finite itself.
    """
    schedule = dict(type='StepLR', step_size=8, gamma=1e41, by_epoch=False)
    runner = toy.runner(tmp_path / 'run', length=8, epochs=2, hooks=[dict(type=HOOK, action=action, max_in_row=3)],
                        param_scheduler=schedule)
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    said = str(error.value)
    assert f'loss of iteration {bad[-1]} is not finite (3 steps in a row, 3 in all' in said
    assert 'backbone.patch_embed1.proj (Conv3d) made the first' in said and 'learning rate (now 1e+38' in said
    assert {path.stem for path in (tmp_path / 'run/non_finite').iterdir()} == {f'iter_{number}' for number in bad}
    returns = log(runner).count(f'Went back to the weights of {tmp_path}/run/epoch_1.pth')
    assert returns == (2 if action == 'rollback' else 0)


def test_a_bad_loss_under_a_loss_scaler(tmp_path, scaler_on_cpu):
    runner = train(tmp_path, marked=[3], hooks=[dict(type=HOOK)], optim_wrapper=amp('dynamic'),
                   model=dict(type='ToyClassifier', way='forward'))
    assert hook_of(runner).total == 1 and 'fragile (Fragile) made the first' in log(runner)
    assert runner.optim_wrapper.loss_scaler.get_scale() == 2.**16


@pytest.mark.parametrize('kwargs, text', [(dict(action='ignore'), "'ignore'"), (dict(max_in_row=0), 'at least 1')])
def test_bad_arguments(kwargs, text):
    with pytest.raises(ValueError, match=text):
        NonFiniteHook(**kwargs)


@pytest.fixture(autouse=True)
def _fresh_hub():
    yield
    MessageHub._instance_dict.clear()
