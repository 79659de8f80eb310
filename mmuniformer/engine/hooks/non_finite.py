"""Training that survives an infinite or NaN loss or gradient, and says where it came from."""
import copy
import io
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine import dist
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, find_latest_checkpoint
from torch import Tensor, nn

from mmuniformer.registry import HOOKS

from ..sharding import unsharded
from .non_finite_search import Source, find_source, is_finite, on_any_process
from .storage import write_whole

ACTIONS = ('skip', 'rollback', 'stop')


class NonFiniteError(RuntimeError):
    """Training stopped because the loss or the gradients are not finite. The message says where from and what helps."""


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Keep infinities and NaNs out of the weights.

    Before each backward pass it looks at the loss, before each step of the optimiser at the gradients. Where one is not
    finite the step is left out, the running statistics of BatchNorms go back to what they were before the batch, the
    batch is run again to find the module that made the first such number, the batch is saved, and then:

    - ``'skip'``: training goes on with the next batch. Where the weights themselves hold such a number it can't, and
      stops.
    - ``'rollback'``: weights, optimiser and averaged weights go back to the latest checkpoint that is finite all
      through; learning rate, epoch and data go on. Before the first checkpoint as ``'skip'``.
    - ``'stop'``: training stops.

    After ``max_in_row`` such steps training stops with advice (:class:`NonFiniteError`). A finite step ends the row;
    after a rollback only a newer checkpoint does, since the steps just after it went well before.

    With a loss scaler (``AmpOptimWrapper``), infinite gradients are how it finds its scale, and it leaves out the step
    and halves the scale by itself. They count only at a scale of at most ``min_loss_scale`` or at a fixed scale. With
    gradients accumulated over batches, all batches of the step are left out.

    Several processes decide together: what one sees, all leave out. The check waits for the device once an iteration,
    as MMEngine's logging of the loss does too. Needs one ``OptimWrapper`` (no dict of them).

    Args:
        action: One of the above. Defaults to ``'skip'``.
        max_in_row: Steps in a row before training stops. Defaults to 10.
        max_saved: How many batches are saved at most, to ``WORK_DIR/non_finite/iter_N.pth`` (a dict of ``batch``,
            ``iter``, ``source``, and ``rng``, the states of the random generators; of several processes each saves its
            own). Read them with ``torch.load(path, weights_only=False)``. Defaults to 5.
        min_loss_scale: See above. Defaults to 1.

    Raises:
        ValueError: For another ``action`` or a ``max_in_row`` under 1.

    Examples:
        >>> custom_hooks = [dict(type='mmuniformer.NonFiniteHook', action='rollback', max_in_row=5)]
    """
    # Before hooks that average or save the weights.
    priority = 'VERY_HIGH'

    def __init__(self, action: str = 'skip', max_in_row: int = 10, max_saved: int = 5, min_loss_scale: float = 1.):
        if action not in ACTIONS:
            raise ValueError(f'action must be one of {ACTIONS}, got {action!r}')
        if max_in_row < 1:
            raise ValueError(f'max_in_row must be at least 1, got {max_in_row}')
        self.action = action
        self.max_in_row = max_in_row
        self.max_saved = max_saved
        self.min_loss_scale = min_loss_scale
        self.total = self.in_row = self.saved = 0
        self._what = None  # 'loss' or 'gradient' once this iteration went wrong
        self._drop_step = False
        self._scale, self._is_scale_fixed = 1., False  # of the loss in the latest step
        self._rolled_back_to = None
        self._before = None

    # ------------------------------------------------------------------ around the optimiser
    def before_train(self, runner: Runner) -> None:
        """Put the checks around the optimiser's wrapper."""
        wrapper = runner.optim_wrapper
        if not isinstance(wrapper, OptimWrapper):
            raise TypeError(f'NonFiniteHook needs one OptimWrapper, got {type(wrapper).__name__}')
        if self.action == 'rollback' and not isinstance(runner, Runner):
            raise TypeError(f"action='rollback' needs MMEngine's Runner, got {type(runner).__name__}: take 'skip' or "
                            "'stop'")
        self._wrapper = wrapper
        self._update_params, self._step = wrapper.update_params, wrapper.step
        wrapper.update_params, wrapper.step = self._checked_update_params, self._checked_step
        self._did_step = True
        self._step_handle = wrapper.optimizer.register_step_post_hook(self._note_step)

    def after_train(self, runner: Runner) -> None:
        """Take the checks away."""
        del self._wrapper.update_params, self._wrapper.step
        self._step_handle.remove()

    def _checked_update_params(self, loss: Tensor, step_kwargs: dict | None = None,
                               zero_kwargs: dict | None = None) -> None:
        if not on_any_process(not is_finite(loss)):
            self._update_params(loss, step_kwargs, zero_kwargs)
            return
        self._what = 'loss'
        wrapper = self._wrapper
        wrapper._inner_count += 1  # what the backward pass that is left out would have done
        self._drop_step = not wrapper.should_update()
        if not self._drop_step:
            wrapper.zero_grad(**(zero_kwargs or {}))

    def _checked_step(self, **kwargs) -> None:
        if self._drop_step:
            self._drop_step = False
            return
        scaler = getattr(self._wrapper, 'loss_scaler', None)
        if scaler is None or not scaler.is_enabled():
            if on_any_process(not _finite_gradients(self._wrapper.optimizer)):
                self._what = 'gradient'
            else:
                self._step(**kwargs)
            return
        self._scale = scale = scaler.get_scale()
        self._did_step = False
        self._step(**kwargs)
        self._is_scale_fixed = not self._did_step and scaler.get_scale() == scale
        if on_any_process(not self._did_step and (self._is_scale_fixed or scale <= self.min_loss_scale)):
            self._what = 'gradient'

    def _note_step(self, optimizer, args, kwargs) -> None:
        # A fused optimiser is called in any case and is told what the scaler found.
        found = getattr(optimizer, 'found_inf', None)
        self._did_step = found is None or not bool(found)

    # ------------------------------------------------------------------ around the iteration
    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Keep what running the batch changes: running statistics, random states, labels that a mixup mixes."""
        self._before = dict(
            batch=_labels_copied(data_batch), rng=_random_states(),
            buffers=[(buffer, buffer.clone()) for buffer in runner.model.buffers()])

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None,
                         outputs: dict | None = None) -> None:
        """Look into what went wrong, if anything did, and do what was asked for."""
        what, self._what = self._what, None
        before, self._before = self._before, None
        if what is None:
            if self._rolled_back_to is None or _latest(runner) != self._latest_then:
                self.in_row, self._rolled_back_to = 0, None
            return
        self.total += 1
        self.in_row += 1
        with torch.no_grad():
            for buffer, value in before['buffers']:
                buffer.copy_(value)
        source = self._find(runner, before)
        sources = [each for each in dist.all_gather_object(source) if each.kind != 'unknown'] or [source]
        file = self._save(runner, before, source)
        runner.message_hub.update_scalar('train/non_finite', self.total)
        noun = 'step' if self.in_row == 1 else 'steps'
        text = (f'The {what} of iteration {runner.iter + 1} is not finite ({self.in_row} {noun} in a row, {self.total} '
                f'in all; {self.max_in_row} in a row end the training): {sources[0].text}.'
                + (f' The batch is in {file}.' if file else ''))
        if self.action == 'stop' or self.in_row >= self.max_in_row:
            raise NonFiniteError(f'{text}\n{self._advice(runner, sources[0])}')
        rolled_back = self.action == 'rollback' and self._roll_back(runner)
        if not rolled_back and sources[0].kind == 'weights':
            raise NonFiniteError(f"{text}\nLeaving out steps can't mend weights: go on from a checkpoint before "
                                 f"(--resume), with action='rollback' next time.\n{self._advice(runner, sources[0])}")
        did = f'Went back to the weights of {self._rolled_back_to}' if rolled_back else 'Left out the step'
        runner.logger.warning(f'{text} {did}.')

    def _find(self, runner: Runner, before: dict) -> Source:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model

        def losses() -> tuple[Tensor, dict[str, Tensor]]:
            with self._wrapper.optim_context(model):
                data = model.data_preprocessor(_labels_copied(before['batch']), True)
                found = model._run_forward(data, mode='loss')
            return model.parse_losses(found)

        with _states_kept(before['rng']), _buffers_kept(model), unsharded(runner.model):
            return find_source(model, losses, self._scale)

    def _save(self, runner: Runner, before: dict, source: Source) -> Path | None:
        if self.saved >= self.max_saved:
            return None
        self.saved += 1
        rank = f'_rank{dist.get_rank()}' if dist.get_world_size() > 1 else ''
        path = Path(runner.work_dir, 'non_finite', f'iter_{runner.iter + 1}{rank}.pth')
        content = io.BytesIO()
        torch.save(dict(batch=before['batch'], iter=runner.iter + 1, source=vars(source), rng=before['rng']), content)
        try:
            write_whole(content.getvalue(), path)
        except OSError as error:
            runner.logger.warning(f'Could not save the batch to {path} ({error.strerror or error}).')
            return None
        return path

    def _advice(self, runner: Runner, source: Source) -> str:
        rates = runner.optim_wrapper.get_lr()
        rate = next(iter(rates.values()))[0]
        advice = [f'lower the learning rate (now {rate:.3g}; half of it, or a longer warm-up)',
                  'weaken the augmentation (RandAugment, mixup and cutmix, repeated augmentation)']
        if getattr(self._wrapper, 'cast_dtype', torch.float32) != torch.float32:  # None is float16
            half = self._wrapper.cast_dtype in (None, torch.float16)
            advice.append('compute attention in float32: train without mixed precision (OptimWrapper instead of '
                          'AmpOptimWrapper)' + (" or with AmpOptimWrapper's dtype='bfloat16'" if half else ''))
        if self._is_scale_fixed and source.kind == 'backward':
            advice.insert(0, f"let the loss scale be found (AmpOptimWrapper's loss_scale='dynamic') or lower it (now "
                             f'fixed at {self._scale:.4g})')
        if source.kind == 'input':
            advice = ['mend the data: the batch itself is not finite']
        advice.append('bound the gradients (optim_wrapper.clip_grad)' if not self._wrapper.clip_grad_kwargs else
                      'bound the gradients more tightly (optim_wrapper.clip_grad)')
        return 'What helps, the likeliest first:\n' + '\n'.join(f'  - {line}' for line in advice)

    # ------------------------------------------------------------------ going back
    def _roll_back(self, runner: Runner) -> bool:
        """Go back to the latest finite checkpoint; whether there was one."""
        found = [_latest_finite(runner) if dist.is_main_process() else None]
        dist.broadcast_object_list(found)
        if found[0] is None:
            runner.logger.warning('There is no checkpoint of finite weights to go back to.')
            return False
        # Where training stands is not part of what goes back: rates follow their schedule, the scaler its own.
        optimizer = runner.optim_wrapper.optimizer
        settings = [{key: value for key, value in group.items() if key != 'params'} for group in optimizer.param_groups]
        # Averaged and plain weights are sorted out by MMEngine's EMAHook as when a run is resumed.
        resume, runner._resume = runner._resume, True
        try:
            content = runner.load_checkpoint(found[0], map_location='cpu')
        finally:
            runner._resume = resume
        if 'optimizer' in content:
            state = {key: value for key, value in content['optimizer'].items() if key != 'loss_scaler'}
            runner.optim_wrapper.load_state_dict(state)
            for group, kept in zip(optimizer.param_groups, settings):
                group.update(kept)
        else:
            runner.logger.warning(f'{found[0]} holds no state of the optimiser: it keeps the present one.')
        optimizer.zero_grad()
        self._rolled_back_to, self._latest_then = found[0], _latest(runner)
        return True


def _latest(runner: Runner) -> str | None:
    path = Path(runner.work_dir, 'last_checkpoint')
    return path.read_text().strip() if path.is_file() else None


def _latest_finite(runner: Runner) -> str | None:
    """The newest checkpoint of the run whose weights are finite."""
    latest = find_latest_checkpoint(runner.work_dir) if _latest(runner) else None
    if latest is None:
        return None
    others = [path for pattern in ('epoch_*.pth', 'iter_*.pth') for path in Path(latest).parent.glob(pattern)]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in dict.fromkeys([Path(latest), *others]):
        try:
            weights = torch.load(path, map_location='cpu', weights_only=True)['state_dict']
        except Exception as error:
            runner.logger.warning(f"{path} can't be read ({error}).")
            continue
        if all(is_finite(tensor) for tensor in weights.values()):
            return str(path)
        runner.logger.warning(f'{path} holds weights that are not finite.')
    return None


# ---------------------------------------------------------------------- what a batch changes
def _finite_gradients(optimizer: torch.optim.Optimizer) -> bool:
    gradients = [p.grad for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
    # The largest entry of each, since a sum of squares may overflow where the gradients are finite.
    return not gradients or is_finite(torch.stack([g.abs().amax().float() for g in gradients if g.numel()]))


def _labels_copied(batch: Any) -> Any:
    """A copy of a batch that shares its inputs, which nothing changes in place."""
    if isinstance(batch, dict):
        return {key: value if key == 'inputs' else copy.deepcopy(value) for key, value in batch.items()}
    return copy.deepcopy(batch)


def _random_states() -> dict:
    states = dict(python=random.getstate(), numpy=np.random.get_state(), torch=torch.get_rng_state())
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def _set_random_states(states: dict) -> None:
    random.setstate(states['python'])
    np.random.set_state(states['numpy'])
    torch.set_rng_state(states['torch'])
    if 'cuda' in states:
        torch.cuda.set_rng_state(states['cuda'])


@contextmanager
def _states_kept(start: dict) -> Iterator[None]:
    """Random numbers as they were at ``start``, and afterwards as if none had been drawn."""
    now = _random_states()
    _set_random_states(start)
    try:
        yield
    finally:
        _set_random_states(now)


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, value in before:
                buffer.copy_(value)
