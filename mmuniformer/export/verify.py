"""Written files against the model they were written from."""
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

Run = Callable[[Tensor], tuple[Tensor, ...]]


def reader(path: Path) -> Run:
    """A function that runs a written file: ONNX by onnxruntime, ``*.pt2`` by PyTorch, both on the CPU."""
    if path.suffix == '.pt2':
        return torch.export.load(path).module()
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda x: tuple(torch.from_numpy(each) for each in session.run(None, {'input': x.numpy()}))


def check_inputs(shape: Sequence[int], any_size: bool) -> list[Tensor]:
    """Inputs of other batch sizes, and where ``any_size`` of other heights and widths, than the file was written with.

    Args:
        shape: One sample, ``(3, H, W)`` or ``(3, T, H, W)``.
        any_size: Whether height and width are open.
    """
    *front, height, width = shape
    other = (height + 32, width + 96) if any_size else (height, width)
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(size, generator=generator) for size in ((1, *shape), (3, *front, *other))]


def difference(outputs: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """Largest difference of any output, in units of 1 or of the output's largest value, whichever is more.

    Infinite where shapes differ or a value is not a number.
    """
    if [x.shape for x in outputs] != [x.shape for x in expected]:
        return float('inf')
    worst = max(float((x - y).abs().max() / y.abs().max().clamp(min=1)) for x, y in zip(outputs, expected))
    return worst if worst == worst else float('inf')
