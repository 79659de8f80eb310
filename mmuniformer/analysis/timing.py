"""Timing things against each other so that a busy or throttling machine treats all of them alike."""
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Ratio:
    """How many times as long one thing takes as another.

    Attributes:
        median: Median over repeats of the ratio within a repeat.
        low: First quartile.
        high: Third quartile.
    """
    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.median:.2f} ({self.low:.2f} to {self.high:.2f})'


def interleaved(runs: Mapping[str, Callable[[], object]], warmup: int, repeats: int,
                device: str = 'cpu') -> dict[str, list[float]]:
    """Time callables in turn: each repeat runs every one once, in an order that alternates.

    Args:
        runs: What to time, by name.
        warmup: Untimed runs of each, at least 1.
        repeats: Timed runs of each.
        device: Type of the device they run on; on CUDA time is taken between events of the device.

    Returns:
        Seconds of each repeat, by name.
    """
    seconds = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(max(warmup, 1)):
            run()
    for repeat in range(repeats):
        for name in list(runs) if repeat % 2 == 0 else reversed(runs):
            seconds[name].append(_on_cuda(runs[name]) if device == 'cuda' else _on_cpu(runs[name]))
    return seconds


def _on_cpu(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _on_cuda(run: Callable[[], object]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1e3


def ratio(numerator: list[float], denominator: list[float]) -> Ratio:
    """Ratio of two series of :func:`interleaved`, repeat by repeat."""
    ratios = sorted(a / b for a, b in zip(numerator, denominator))
    if len(ratios) == 1:
        return Ratio(*ratios * 3)
    low, median, high = statistics.quantiles(ratios, n=4, method='inclusive')
    return Ratio(median, low, high)


def inference(model: nn.Module, x: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """One forward pass without gradients; below float32 under autocast."""

    def run():
        with torch.no_grad(), torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            return model(x)

    return run


def training(model: nn.Module, x: Tensor, dtype: torch.dtype) -> Callable[[], object]:
    """One step of AdamW on the mean square of the maps; below float32 the forward pass is under autocast."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-6)

    def run():
        with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            output = model(x)
        sum(m.float().square().mean() for m in tree_leaves(output)).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return run


@dataclass(frozen=True)
class Operator:
    """What a run spends in one kind of operator (on the CPU) or kernel (on CUDA), without those that it calls.

    Attributes:
        name: PyTorch's, such as ``aten::addmm``.
        calls: How often it is called.
        seconds: Time of all calls.
        share: Of the time of all operators.
    """
    name: str
    calls: int
    seconds: float
    share: float


def operators_by_time(run: Callable[[], object], device: str = 'cpu') -> list[Operator]:
    """Profile one run of a callable that has run before; the operator that takes longest is first."""
    kind = DeviceType.CUDA if device == 'cuda' else DeviceType.CPU
    with torch.profiler.profile(acc_events=True) as profile:
        run()
    events = [event for event in profile.key_averages() if event.device_type == kind]
    micro = {event.key: event.self_device_time_total if device == 'cuda' else event.self_cpu_time_total
             for event in events}
    total = sum(micro.values())
    found = [Operator(event.key, event.count, micro[event.key] / 1e6, micro[event.key] / total) for event in events]
    return sorted(found, key=lambda operator: -operator.seconds)


def matmul(device: str, dtype: torch.dtype, side: int) -> tuple[Callable[[], object], float]:
    """A square matrix product to time beside a model, and its floating-point operations (two a multiply-add)."""
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b, 2. * side**3


def copy(device: str, size: int) -> tuple[Callable[[], object], float]:
    """A copy of ``size`` bytes to time beside a model, and the bytes it moves: each is read and written."""
    source = torch.ones(size, device=device, dtype=torch.uint8)
    target = torch.zeros_like(source)
    return lambda: target.copy_(source), 2. * size


def peak_resident() -> int:
    """Most bytes this process has had in memory since :func:`reset_peak_resident` (Linux)."""
    with open('/proc/self/status') as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith('VmHWM'))


def reset_peak_resident() -> None:
    """Start :func:`peak_resident` anew from what is in memory now."""
    with open('/proc/self/clear_refs', 'w') as control:
        control.write('5')
