"""Which module was the first to make an infinity or a NaN."""
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from mmengine import dist
from torch import Tensor, nn


@dataclass
class Source:
    """Where a non-finite number comes from.

    Attributes:
        kind: ``'weights'`` (they hold one themselves), ``'input'`` (the data do), ``'forward'``, ``'backward'``, or
            ``'unknown'`` where all is finite when the batch is run again.
        module: Name of the first module; for ``'weights'`` of the first parameter or buffer. Empty for the whole model.
        text: What happened there, in a sentence.
    """
    kind: str
    module: str
    text: str


@dataclass
class _Call:
    """What was seen of one call of a module: in the backward pass, whether gradients were finite, and when."""
    name: str
    type: str
    out_bad: bool = False
    out_time: int | None = None
    in_bad: bool = False
    own_bad: list[str] = field(default_factory=list)


class _Found(Exception):
    """Ends the run when the search is over."""


def is_finite(tensor: Tensor) -> bool:
    """Whether no entry is infinite or NaN; True for whole numbers."""
    return not (tensor.is_floating_point() or tensor.is_complex()) or bool(tensor.detach().isfinite().all())


def non_finite_state(model: nn.Module) -> list[str]:
    """Names of the parameters and buffers that hold an infinity or a NaN."""
    named = chain(model.named_parameters(), model.named_buffers())
    return [name for name, tensor in named if not is_finite(tensor)]


def find_source(model: nn.Module, losses: Callable[[], tuple[Tensor, dict[str, Tensor]]], scale: float = 1.) -> Source:
    """Run the batch again, watching every module.

    A module is the source in the forward pass if its inputs were finite and its output is not, in the backward pass
    likewise with gradients; of modules within each other the innermost. Operations outside of any module (an addition
    in a block) count as the module's around them. With several processes every one must call this, since modules such
    as SyncBN wait for each other.

    Args:
        model: The bare model, without a wrapper for several processes.
        losses: Runs the batch and returns the loss and its named parts.
        scale: What the loss is multiplied by before the backward pass, as by a loss scaler. Defaults to 1.

    Returns:
        The first source, as far as this process saw it.
    """
    bad = non_finite_state(model)
    search = _Search(model)
    if on_any_process(bool(bad)):
        if not bad:
            return Source('unknown', '', 'the weights of another process are not finite')
        more = f' and {len(bad) - 1} more' if len(bad) > 1 else ''
        return Source('weights', bad[0], f'{bad[0]}{more} of the model itself is not finite: an earlier step or '
                                         'checkpoint spoilt it')
    # What is compiled already would not call the hooks that watch.
    with search.watching(), torch.compiler.set_stance('force_eager'):
        try:
            loss, parts = losses()
        except _Found:
            return search.forward_source
        except Exception as error:  # assigners and the like fail on a NaN; what came before tells more
            if search.forward_source is None:
                return Source('unknown', '', f'running the batch again failed ({type(error).__name__}: {error})')
            return search.forward_source
        if search.forward_source is None and not is_finite(loss):
            names = ', '.join(name for name, value in parts.items() if name != 'loss' and not is_finite(value))
            search.forward_source = Source(
                'forward', '', f"every module's output is finite, but the loss computed from them is not ({names})")
        if on_any_process(search.forward_source is not None):
            return search.forward_source or Source('unknown', '', 'all is finite in this process')
        return search.backward(loss, scale)


def on_any_process(flag: bool) -> bool:
    """Whether it is so in any process."""
    if dist.get_world_size() == 1:
        return flag
    tensor = torch.tensor(float(flag), device=dist.get_comm_device())
    dist.all_reduce(tensor, 'max')
    return bool(tensor)


class _Search:

    def __init__(self, model: nn.Module):
        self.model = model
        self.calls = []
        self.time = 0
        self.forward_source = None
        self.is_backward = False
        # One process must not leave where others wait for it.
        self.leave_early = dist.get_world_size() == 1

    def watching(self):
        return _Hooks(self.model, self._before, self._after)

    # ---------------------------------------------------------------- forward
    def _before(self, name: str, module: nn.Module, inputs: Any) -> _Call | None:
        if self.is_backward:  # activation checkpointing runs blocks again
            return None
        call = _Call(name, type(module).__name__)
        bad = [t for t in _tensors(inputs) if not is_finite(t)]
        if bad and not name and self.forward_source is None:
            self._found(Source('input', '', 'the batch holds infinities or NaNs before any module has run: look at the '
                                            'data and its transforms'))
        call.in_bad = bool(bad)
        for tensor in _tensors(inputs):
            if tensor.requires_grad and not tensor.is_leaf:
                tensor.register_hook(lambda gradient, call=call: self._gradient_in(call, gradient))
        return call

    def _after(self, call: _Call | None, output: Any) -> None:
        if call is None:
            return
        forward_in_bad, call.in_bad = call.in_bad, False
        tensors = list(_tensors(output))
        bad = [t for t in tensors if not is_finite(t)]
        if bad and not forward_in_bad and self.forward_source is None:
            number = 'NaN' if any(t.detach().isnan().any() for t in bad) else 'infinity'
            self._found(Source('forward', call.name, f'{_named(call)} made the first {number} in the forward pass, '
                                                     'from finite input and weights'))
        for tensor in tensors:
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, call=call: self._gradient_out(call, gradient))
        self.calls.append(call)

    def _found(self, source: Source) -> None:
        self.forward_source = source
        if self.leave_early:
            raise _Found

    # ---------------------------------------------------------------- backward
    def _gradient_out(self, call: _Call, gradient: Tensor) -> None:
        self.time += 1
        call.out_bad |= not is_finite(gradient)
        call.out_time = self.time if call.out_time is None else call.out_time

    def _gradient_in(self, call: _Call, gradient: Tensor) -> None:
        self.time += 1
        call.in_bad |= not is_finite(gradient)

    def backward(self, loss: Tensor, scale: float) -> Source:
        """Find the module in the backward pass."""
        self.is_backward = True
        loss = loss * torch.tensor(scale, device=loss.device)
        if on_any_process(not is_finite(loss)):
            return Source('backward', '', f'the loss is finite, but not when it is scaled by {scale:.4g}') \
                if not is_finite(loss) else Source('unknown', '', 'the scaled loss is finite in this process')
        named = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        # Not loss.backward(): it would wake the wrapper for several processes, which waits for the others.
        gradients = dict(zip(named, torch.autograd.grad(loss, list(named.values()), allow_unused=True)))
        bad = [name for name, gradient in gradients.items() if gradient is not None and not is_finite(gradient)]
        if not bad:
            return Source('unknown', '', 'all is finite when the batch is run again on its own')
        for call in self.calls:
            call.own_bad = [name for name in bad if name.rpartition('.')[0] == call.name]
        sources = [c for c in self.calls if c.out_time is not None and not c.out_bad and (c.in_bad or c.own_bad)]
        innermost = [c for c in sources if not any(_within(other, c) for other in sources)]
        if innermost:
            call = min(innermost, key=lambda c: c.out_time)
            return Source('backward', call.name, f'{_named(call)} made the first non-finite gradient in the backward '
                                                 'pass, from finite ones')
        reached = [c for c in self.calls if c.out_bad]
        if not reached:
            return Source('backward', bad[0].rpartition('.')[0], f'the gradient of {bad[0]} is not finite')
        call = min(reached, key=lambda c: c.out_time)
        return Source('backward', call.name, f'the gradient that comes back to {_named(call)} from what is computed '
                                             'with its output is the first that is not finite')


class _Hooks:
    """Calls ``before`` and ``after`` around every module of a model while it is entered."""

    def __init__(self, model: nn.Module, before: Callable, after: Callable):
        self.model, self.before, self.after = model, before, after

    def __enter__(self):
        self.handles, self.open = [], []
        for name, module in self.model.named_modules():
            self.handles += [module.register_forward_pre_hook(self._pre(name), with_kwargs=True),
                             module.register_forward_hook(self._post, with_kwargs=True)]

    def _pre(self, name: str) -> Callable:
        def hook(module, args, kwargs):
            self.open.append(self.before(name, module, (args, kwargs)))
        return hook

    def _post(self, module, args, kwargs, output) -> None:
        self.after(self.open.pop(), output)

    def __exit__(self, *_):
        for handle in self.handles:
            handle.remove()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)


def _named(call: _Call) -> str:
    return f'{call.name} ({call.type})' if call.name else f'the model itself ({call.type})'


def _within(inner: _Call, outer: _Call) -> bool:
    return inner is not outer and inner.name.startswith(f'{outer.name}.' if outer.name else '') \
        and inner.name != outer.name
