"""Parameters and floating-point operations of a model, counted as fvcore counts them.

One multiply-add is one operation. Counted are convolutions, linear maps, matrix products, normalisation, interpolation
and average pooling, with fvcore's factors; sums, activations, softmax and the like are not. fvcore (and its copy,
``mmengine.analysis``) follows a TorchScript trace, which knows nothing of PyTorch's fused attention and has to compute
all that it counts. Here each operator is counted as it is dispatched, and the model runs on tensors without data
wherever it can: a second for an input of any size.
"""
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.hooks import RemovableHandle

Shape = tuple[int, ...]


# What an operator costs: ``formula(args, out)`` of its arguments and its (first) result, tensors given as their shapes.
def _product(args: tuple, out: Shape) -> int:
    return prod(args[0]) * args[1][-1]


def _product_and_bias(args: tuple, out: Shape) -> int:
    return _product(args[1:], out)


def _convolution(args: tuple, out: Shape) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    return prod(weight) * x[0] * prod((x if transposed else out)[2:])


def _attention(args: tuple, out: Shape) -> int:
    (*batch, queries, dim), (*_, keys, _), (*_, value_dim) = args[:3]
    return prod(batch) * queries * keys * (dim + value_dim)


def _norm(weight: int) -> Callable[[tuple, Shape], int]:
    return lambda args, out: prod(args[0]) * (4 if args[weight] is None else 5)


def _batch_norm(args: tuple, out: Shape) -> int:
    # With running statistics: a scale, and a shift where there is one.
    return _norm(1)(args, out) if args[5] else prod(args[0]) * (1 if args[1] is None else 2)


def _elementwise(inputs: int, outputs: int) -> Callable[[tuple, Shape], int]:
    return lambda args, out: inputs * prod(args[0]) + outputs * prod(out)


#: What operations are reported as. ``matmul`` is a product of two activations: the affinity of attention and the sum it
#: weighs; a product with a weight is ``linear``.
KINDS = ('conv', 'linear', 'matmul', 'norm', 'resample')

_OPERATORS = {
    'convolution': ('conv', _convolution),
    'mm': ('linear', _product),
    'addmm': ('linear', _product_and_bias),
    'bmm': ('matmul', _product),
    'baddbmm': ('matmul', _product_and_bias),
    '_scaled_dot_product_flash_attention_for_cpu': ('matmul', _attention),
    '_scaled_dot_product_flash_attention': ('matmul', _attention),
    '_scaled_dot_product_efficient_attention': ('matmul', _attention),
    '_scaled_dot_product_cudnn_attention': ('matmul', _attention),
    'native_layer_norm': ('norm', _norm(2)),
    'native_group_norm': ('norm', _norm(1)),
    'native_batch_norm': ('norm', _batch_norm),
    'cudnn_batch_norm': ('norm', _batch_norm),
    '_adaptive_avg_pool2d': ('resample', _elementwise(1, 0)),
    'upsample_nearest2d': ('resample', _elementwise(0, 1)),
    'upsample_bilinear2d': ('resample', _elementwise(0, 4)),
    'grid_sampler_2d': ('resample', _elementwise(0, 4)),
}


@dataclass(frozen=True)
class Operator:
    """One operator that :func:`count` counted.

    Attributes:
        flops: Its operations, a multiply-add as one.
        read: Numbers in what it was given, weights among them.
        written: Numbers in its result.
    """
    flops: int
    read: int
    written: int


@dataclass(frozen=True)
class Complexity:
    """What :func:`count` found.

    Attributes:
        params: Number of parameters, trained or frozen.
        modules: Operations by :data:`KINDS` of each module that ran any, by its name in ``named_modules()``, those of
            its parts included; ``''`` is the whole model.
        operators: What was counted, in the order in which it ran.
    """
    params: int
    modules: Mapping[str, Mapping[str, int]]
    operators: Sequence[Operator]

    @property
    def kinds(self) -> Mapping[str, int]:
        """Operations of the whole model by :data:`KINDS`."""
        return self.modules['']

    @property
    def flops(self) -> int:
        """Operations of the whole model, a multiply-add as one."""
        return sum(self.kinds.values())


def count(model: nn.Module, *args: Any, **kwargs: Any) -> Complexity:
    """Count the parameters of a model and the operations of one call of it in evaluation mode.

    The call is made on the meta device, where nothing is computed. A model whose course depends on values (a detector
    that chooses boxes) can't do that and is then called with the arguments as they are.

    Args:
        model: Any module. It is left as it was.
        args: What the model is called with.
        kwargs: Likewise.

    Returns:
        The counts; divide the operations by the batch size for those of one sample.
    """
    state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with _evaluation(model), torch.no_grad():
        try:
            mode = _run(model, *_to_meta((args, kwargs, state)))
        except (NotImplementedError, RuntimeError, TypeError):
            # What was not the meta device's fault appears again here.
            mode = _run(model, args, kwargs, {})
    return Complexity(sum(parameter.numel() for parameter in model.parameters()), mode.modules, mode.operators)


def _to_meta(tree: Any) -> Any:
    return tree_map_only(Tensor, lambda tensor: tensor.to('meta'), tree)


def _run(model: nn.Module, args: tuple, kwargs: dict, state: dict[str, Tensor]) -> '_CountingMode':
    with _CountingMode(model) as mode:
        functional_call(model, state, args, kwargs)
    return mode


def _stored(tensor: Tensor) -> int:
    """Numbers in a tensor, repetitions along an expanded dimension as one."""
    return prod(size for size, stride in zip(tensor.shape, tensor.stride()) if stride)


class _CountingMode(TorchDispatchMode):
    """Adds up what each operator costs for the innermost module that runs it and for all that this is a part of."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.modules: dict[str, Counter] = {'': Counter()}
        self.operators: list[Operator] = []
        self._model = model
        self._running = ['']
        self._hooks: list[RemovableHandle] = []

    def __enter__(self):
        for name, module in self._model.named_modules():
            self._hooks.append(module.register_forward_pre_hook(lambda *_, name=name: self._running.append(name)))
            self._hooks.append(module.register_forward_hook(self._left))
        return super().__enter__()

    def _left(self, *_) -> None:
        self._running.pop()

    def __exit__(self, *args):
        for hook in self._hooks:
            hook.remove()
        return super().__exit__(*args)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.namespace == 'aten' and func.overloadpacket.__name__ in _OPERATORS:
            kind, formula = _OPERATORS[func.overloadpacket.__name__]
            if func is torch.ops.aten.bmm.default and args[1].stride(0) == 0:
                kind = 'linear'  # one weight for the whole batch: a linear map of tokens that do not lie in a row
            shapes = tree_map_only(Tensor, lambda tensor: tuple(tensor.shape), tuple(args))
            result = out[0] if isinstance(out, tuple) else out
            flops = formula(shapes, tuple(result.shape))
            read = sum(_stored(tensor) for tensor in args if isinstance(tensor, Tensor))
            self.operators.append(Operator(flops, read, _stored(result)))
            path = self._running[-1].split('.') if self._running[-1] else []
            for depth in range(len(path) + 1):
                self.modules.setdefault('.'.join(path[:depth]), Counter())[kind] += flops
        return out


@contextmanager
def _evaluation(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and no fused inference path of ``nn.MultiheadAttention``, which hides what it computes."""
    training, fast = {module: module.training for module in model.modules()}, torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for module, mode in training.items():
            module.training = mode
