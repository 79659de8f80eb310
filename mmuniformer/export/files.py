"""Writing a part of a model as ONNX or as a program of ``torch.export``."""
import importlib.util
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmuniformer.apis import PredictError
from mmuniformer.apis.quiet import quiet
from mmuniformer.engine.missing import INSTALL

from .parts import Backbone

#: Suffix of the file, and packages that its format needs.
FORMATS = {'.onnx': ('onnx', 'onnxscript', 'onnxruntime'), '.pt2': ()}
#: Name of the description in a ``.pt2`` file, and first part of its keys in the metadata of an ONNX file.
DESCRIPTION = 'mmuniformer'


def formats(path: Path) -> str:
    """The suffix of a file to write, which is its format.

    Raises:
        PredictError: There is no such format, or what it needs is not installed.
    """
    if path.suffix not in FORMATS:
        raise PredictError(f'the file to write must end in {" or ".join(FORMATS)} (torch.export), got {path}')
    missing = [name for name in FORMATS[path.suffix] if importlib.util.find_spec(name) is None]
    if missing:
        raise PredictError(f'{path.suffix} needs {", ".join(missing)}: pip install {INSTALL[missing[0]]}')
    return path.suffix


def example(shape: Sequence[int]) -> Tensor:
    """A batch to write a program with; of two samples, since PyTorch takes a size of one for a constant."""
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))


def write(part: nn.Module, shape: Sequence[int], about: Mapping[str, Any], path: Path) -> None:
    """Write a part of a model for any batch, a backbone also for any height and width.

    Args:
        part: As :func:`~mmuniformer.export.choose_part` gives it.
        shape: One sample, ``(3, H, W)`` or ``(3, T, H, W)``; of a classifier, and of a backbone the number of frames,
            it is fixed.
        about: What goes into the file as its description.
        path: ``*.onnx`` or ``*.pt2``.
    """
    auto = torch.export.Dim.AUTO
    open_dims = [0, len(shape) - 1, len(shape)] if isinstance(part, Backbone) else [0]
    with torch.no_grad(), quiet(logging.getLogger('torch.onnx')):
        program = torch.export.export(part, (example(shape), ), dynamic_shapes=(dict.fromkeys(open_dims, auto), ))
        if path.suffix == '.pt2':
            torch.export.save(program, path, extra_files={f'{DESCRIPTION}.json': json.dumps(about)})
            return
        written = torch.onnx.export(program, dynamo=True, input_names=['input'], output_names=about['outputs'],
                                    verbose=False)
    import onnx
    model = written.model_proto
    for key, value in about.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=f'{DESCRIPTION}.{key}', value=text)
    onnx.save(model, path)
