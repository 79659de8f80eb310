"""Write a classifier, or the backbone of a dense model, as ONNX or as a program of torch.export, and check it.

    python tools/deployment/export.py CONFIG CHECKPOINT --out model.onnx
    python tools/deployment/export.py CONFIG CHECKPOINT --out model.pt2 [--part backbone] [--shape 3 16 224 224]

A classifier of images or clips (MMPretrain, MMAction2) becomes one graph from the normalised input to the scores before
the softmax, for any batch size. Of a detector, segmentor or pose estimator the backbone is written, from the normalised
image to its maps, for any batch size, height and width; proposals, NMS and the like are the frameworks' own Python and
stay there. What is linear is folded first (`switch_to_deploy`).

The file is then run with onnxruntime (or loaded again with torch.export) on other inputs and sizes than those it was
written with, and compared with the model before folding; more than --tolerance apart is an error and leaves no file.
What a program that uses it has to know (mean, std, order of the colours, names and layout of inputs and outputs) is in
the ONNX file's metadata, or in the .pt2 file's extra file `mmuniformer.json`.
"""
import argparse
import contextlib
import importlib.util
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.analysis import default_shape
from mmuniformer.checkpoint import CheckpointError, load
from mmuniformer.engine.launch import read_config

ONNX_NEEDS = ('onnx', 'onnxscript', 'onnxruntime')
CLASSIFIERS = {'mmpretrain': 'ImageClassifier', 'mmaction': 'Recognizer3D'}
#: Side of the example of a dense model. Large enough that no map has a side of 1, to which a program would be bound.
DENSE_SHAPE = (3, 128, 160)


class Classifier(nn.Module):
    """Backbone, neck and head of a classifier as a function of one tensor.

    Args:
        model: An ``ImageClassifier`` of MMPretrain or a recognizer of MMAction2.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = model.cls_head if hasattr(model, 'cls_head') else model.head

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(B, classes)`` before the softmax."""
        return self.head(self.neck(self.backbone(x)))


class Backbone(nn.Module):
    """A backbone that returns a tuple of its maps, of one map, too."""

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps ``(B, C, ..., H, W)``."""
        maps = self.backbone(x)
        return maps if isinstance(maps, tuple) else (maps, )


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of any task')
    parser.add_argument('checkpoint', help="weights of any layout; 'none' for a model that is not trained")
    parser.add_argument('--out', required=True, type=Path, help='the file to write: *.onnx or *.pt2')
    parser.add_argument('--part', choices=['auto', 'classifier', 'backbone'], default='auto',
                        help='auto: a classifier whole, of any other model the backbone')
    parser.add_argument('--shape', type=int, nargs='+', metavar='N',
                        help='input of a sample: 3 HEIGHT WIDTH or 3 FRAMES HEIGHT WIDTH (default: what the config '
                        'validates on; for dense models any, since height and width stay open)')
    parser.add_argument('--tolerance', type=float, default=1e-4,
                        help='largest difference from PyTorch, relative to the largest output (default 1e-4)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='settings of the config to change')
    args = parser.parse_args()
    if args.out.suffix not in ('.onnx', '.pt2'):
        parser.error(f'--out must end in .onnx or .pt2 (torch.export), got {args.out}')
    if args.shape and len(args.shape) not in (3, 4):
        parser.error(f'--shape takes 3 HEIGHT WIDTH or 3 FRAMES HEIGHT WIDTH, got {args.shape}')
    missing = [name for name in ONNX_NEEDS if importlib.util.find_spec(name) is None]
    if args.out.suffix == '.onnx' and missing:
        parser.error(f'ONNX needs {", ".join(missing)}: pip install "mmuniformer[export]"')
    return args


def build(cfg: Config, checkpoint: str) -> nn.Module:
    """The model of a config with its weights, for inference."""
    if 'model' not in cfg:
        raise ValueError(f'{cfg.filename} has no `model`')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    cfg.model.setdefault('backbone', {})['init_cfg'] = None  # weights come from the checkpoint
    if 'data_preprocessor' in cfg:  # as the Runner does
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    if checkpoint != 'none':
        print(load(model, checkpoint))
    return model.requires_grad_(False)


def chosen_part(model: nn.Module, part: str) -> nn.Module:
    """What of a model is written."""
    names = {cls.__name__ for cls in type(model).__mro__}
    is_classifier = bool(names & {*CLASSIFIERS.values(), 'BaseRecognizer'})
    if part == 'classifier' and not is_classifier:
        raise ValueError(f'{type(model).__name__} is no classifier of images or clips: of dense models only the '
                         'backbone can be written (--part backbone)')
    return Classifier(model) if is_classifier and part != 'backbone' else Backbone(model.backbone)


def description(cfg: Config, model: nn.Module, part: nn.Module, shape: Sequence[int], outputs: int) -> dict:
    """What a program that uses the file has to know."""
    preprocessor = model.data_preprocessor
    numbers = {name: getattr(preprocessor, name).flatten().tolist() for name in ('mean', 'std')
               if isinstance(getattr(preprocessor, name, None), Tensor)}
    layout = 'B C T H W' if len(shape) == 4 else 'B C H W'
    is_classifier = isinstance(part, Classifier)
    return dict(
        model=type(model).__name__, config=Path(cfg.filename).name, part='classifier' if is_classifier else 'backbone',
        input=dict(name='input', layout=layout, example=list(shape), color_order='RGB', **numbers,
                   normalisation='(pixel of 0 to 255 - mean) / std'),
        outputs=['scores (before the softmax)'] if is_classifier else [f'map{index}' for index in range(outputs)],
        dynamic=['batch'] if is_classifier else ['batch', 'height', 'width'])


def exported(part: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """The program of a part: of a classifier for any batch, of a backbone for any batch, height and width."""
    auto = torch.export.Dim.AUTO
    open_dims = [0] if isinstance(part, Classifier) else [0, example.ndim - 2, example.ndim - 1]
    return torch.export.export(part, (example, ), dynamic_shapes=(dict.fromkeys(open_dims, auto), ))


def write(program: torch.export.ExportedProgram, about: dict, path: Path) -> None:
    """Write ``program`` in the format that the suffix of ``path`` names."""
    if path.suffix == '.pt2':
        torch.export.save(program, path, extra_files={'mmuniformer.json': json.dumps(about)})
        return
    names = [name.split(' ')[0] for name in about['outputs']]
    logging.getLogger('torch.onnx').setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        onnx_program = torch.onnx.export(program, dynamo=True, input_names=['input'], output_names=names, verbose=False)
    proto = onnx_program.model_proto
    for key, value in about.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = f'mmuniformer.{key}', value if isinstance(value, str) else json.dumps(value)
    import onnx
    onnx.save(proto, path)


def runner_of(path: Path):
    """A function that runs a written file."""
    if path.suffix == '.pt2':
        module = torch.export.load(path).module()
        return lambda x: _as_tuple(module(x))
    import onnxruntime
    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return lambda x: tuple(torch.from_numpy(each) for each in session.run(None, {'input': x.numpy()}))


def check_inputs(shape: Sequence[int], is_classifier: bool) -> list[Tensor]:
    """Inputs of another batch size, and for a backbone other heights and widths, than the example's."""
    sizes = [(1, *shape), (3, *shape)]
    if not is_classifier:
        *front, height, width = shape
        sizes = [(1, *front, height, width), (3, *front, height + 32, width + 96)]
    return [torch.randn(size) for size in sizes]


def difference(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Largest difference over the outputs, each relative to its largest value (or 1, if that is smaller)."""
    if [each.shape for each in ours] != [each.shape for each in theirs]:
        return float('inf')
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(ours, theirs))


def export(cfg: Config, checkpoint: str, out: Path, part: str = 'auto', shape: Sequence[int] | None = None,
           tolerance: float = 1e-4) -> float:
    """Write and check a file.

    Args:
        cfg: A whole config.
        checkpoint: Weights, or ``'none'``.
        out: ``*.onnx`` or ``*.pt2``.
        part: ``'auto'``, ``'classifier'`` or ``'backbone'``.
        shape: One sample; None for what the config validates on.
        tolerance: Largest difference from PyTorch.

    Returns:
        The largest difference, see :func:`difference`.

    Raises:
        ValueError: For a config or part that does not fit, and where the file's outputs differ too much.
    """
    model = build(cfg, checkpoint)
    module = chosen_part(model, part).eval()
    is_classifier = isinstance(module, Classifier)
    scope = cfg.get('default_scope')
    if shape is None:
        shape = default_shape(cfg) if is_classifier or scope == 'mmaction' else DENSE_SHAPE
    inputs = check_inputs(shape, is_classifier)
    with torch.no_grad():
        expected = [_as_tuple(module(x)) for x in inputs]
        if hasattr(model.backbone, 'switch_to_deploy'):
            model.backbone.switch_to_deploy()
        program = exported(module, torch.randn(2, *shape))
        about = description(cfg, model, module, shape, len(expected[0]))
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent) as folder:
            file = Path(folder, out.name)
            write(program, about, file)
            run = runner_of(file)
            worst = max(difference(run(x), theirs) for x, theirs in zip(inputs, expected))
            if not worst <= tolerance:
                raise ValueError(f'the exported file differs from PyTorch by {worst:.2g}, more than --tolerance '
                                 f'{tolerance:g}: nothing was written')
            os.replace(file, out)
    sizes = ', '.join('x'.join(map(str, x.shape)) for x in inputs)
    print(f'{out}: {about["part"]} of {about["model"]}, {out.stat().st_size / 2**20:.1f} MiB, open in '
          f'{", ".join(about["dynamic"])}; run on {sizes} it is within {worst:.1g} of PyTorch.')
    return worst


def _as_tuple(outputs: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    return (outputs, ) if isinstance(outputs, Tensor) else tuple(outputs)


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    cfg.merge_from_dict(args.cfg_options)
    try:
        export(cfg, args.checkpoint, args.out, args.part, args.shape, args.tolerance)
    except (ValueError, CheckpointError) as error:
        raise SystemExit(f'{args.config}: {error}') from error


if __name__ == '__main__':
    main()
