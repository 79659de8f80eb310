"""Write a classifier, or the backbone of a dense model, as ONNX or as a program of torch.export, and check the file.

    python tools/deployment/export.py CONFIG CHECKPOINT --out model.onnx
    python tools/deployment/export.py CONFIG CHECKPOINT --out model.pt2 --deploy

A classifier of images or clips (MMPretrain, MMAction2) becomes one graph, from the normalised input to the scores
before the softmax, for any batch. Of a detector, segmentor or pose estimator the backbone is written, from the
normalised image to its maps, for any batch, height and width.

The file is then run, ONNX by onnxruntime, on other batches and sizes than it was written with; where it differs from
PyTorch by more than --tolerance nothing is left of it. docs/export.md says how to use it.
"""
import argparse
import os
import tempfile
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.analysis import default_shape
from mmuniformer.apis import PredictError
from mmuniformer.apis.model import load_model
from mmuniformer.engine.launch import Options, merge_options, read_config
from mmuniformer.export import Backbone, check_inputs, choose_part, difference, formats, reader, write
from mmuniformer.export.parts import PARTS
from mmuniformer.models import UniFormerLight, UniFormerLight3D

#: Sample that a dense model is written with. So large that no map has a side of one, and that no single window (of 14
#: tokens of 16 pixels each) covers it: that there is one of something would become a constant.
DENSE_SHAPE = (3, 256, 320)
TIES = ('. A light model keeps the tokens of the highest scores, and which of two with the same score is up to the '
        'library: an untrained one, whose scores are all the same, can not be compared')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of any task')
    parser.add_argument('checkpoint', help='its weights: a file, URL or hf://owner/repository/file')
    parser.add_argument('--out', required=True, type=Path, help='the file to write: *.onnx or *.pt2 (torch.export)')
    parser.add_argument('--deploy', action='store_true', help='fold the backbone first: the same in fewer operations')
    parser.add_argument('--part', choices=PARTS, help='what to write (a classifier whole, else the backbone)')
    parser.add_argument('--shape', type=int, nargs='+', metavar='N',
                        help='one sample: 3 HEIGHT WIDTH or 3 FRAMES HEIGHT WIDTH (what the config validates on; '
                        'backbones for images take any)')
    parser.add_argument('--tolerance', type=float, default=1e-4,
                        help='largest difference from PyTorch, of an output or of 1, whichever is more (1e-4)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE',
                        help='settings of the config to change')
    return parser.parse_args(argv)


def sample_shape(cfg: Config, part: nn.Module, given: list[int] | None) -> tuple[int, ...]:
    """Shape of one sample.

    Raises:
        PredictError: The one given does not fit, or none is given and the config doesn't tell.
    """
    is_video = cfg.get('default_scope') == 'mmaction'
    if given:
        if len(given) != 3 + is_video or min(given) < 1:
            raise PredictError(f'--shape takes {"3 FRAMES HEIGHT WIDTH" if is_video else "3 HEIGHT WIDTH"} for this '
                               f'config, got {" ".join(map(str, given))}')
        return tuple(given)
    if isinstance(part, Backbone) and not is_video:
        return DENSE_SHAPE
    try:
        return default_shape(cfg)
    except ValueError as error:
        raise PredictError(str(error)) from error


def description(cfg: Config, model: nn.Module, part: nn.Module, shape: tuple[int, ...], outputs: int) -> dict:
    """What a program that uses the file has to know."""
    preprocessor = model.data_preprocessor
    numbers = {name: getattr(preprocessor, name).flatten().tolist() for name in ('mean', 'std')
               if isinstance(getattr(preprocessor, name, None), torch.Tensor)}
    # MMAction2 decodes to RGB; the others read BGR and turn it, each with its own word for that.
    turned = any(getattr(preprocessor, name, False) for name in ('_channel_conversion', 'channel_conversion', 'to_rgb'))
    is_backbone = isinstance(part, Backbone)
    return dict(
        model=type(model).__name__, config=Path(cfg.filename).name, part='backbone' if is_backbone else 'classifier',
        input=dict(name='input', layout='BCTHW' if len(shape) == 4 else 'BCHW', sample=list(shape),
                   color_order='RGB' if turned or len(shape) == 4 else 'BGR', **numbers,
                   normalisation='(pixel of 0 to 255 - mean) / std'),
        outputs=[f'map{index}' for index in range(outputs)] if is_backbone else ['scores'],
        dynamic=['batch', 'height', 'width'] if is_backbone else ['batch'])


def export(args: argparse.Namespace) -> str:
    """Write and check a file, and say in a sentence what it is.

    Raises:
        PredictError: Bad input, or the file differs from PyTorch.
    """
    formats(args.out)
    cfg = read_config(args.config)
    merge_options(cfg, args.cfg_options)
    model = load_model(cfg, args.checkpoint)
    part = choose_part(model, args.part)
    shape = sample_shape(cfg, part, args.shape)
    backbone = model.backbone
    inputs = check_inputs(shape, isinstance(part, Backbone))
    with torch.no_grad():
        try:
            expected = [part(x) for x in inputs]
        except ValueError as error:  # the network's own, of sizes it can't take
            raise PredictError(f'{args.config}: {error}') from error
    if args.deploy:
        if not hasattr(backbone, 'switch_to_deploy'):
            raise PredictError(f'--deploy folds UniFormers, and the backbone is a {type(backbone).__name__}')
        backbone.switch_to_deploy()
    about = description(cfg, model, part, shape, len(expected[0]))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.out.parent) as folder:
        file = Path(folder, args.out.name)
        write(part, shape, about, file)
        run = reader(file)
        with torch.no_grad():
            worst = max(difference(run(x), theirs) for x, theirs in zip(inputs, expected))
        if not worst <= args.tolerance:
            light = isinstance(backbone, (UniFormerLight, UniFormerLight3D))
            raise PredictError(f'the file differed from PyTorch by {worst:.2g}, more than --tolerance '
                               f'{args.tolerance:g}, and was not kept{TIES if light else ""}')
        os.replace(file, args.out)
    sizes = ' and '.join('x'.join(map(str, x.shape)) for x in inputs)
    return (f'{args.out}: {about["part"]} of {about["model"]}, {args.out.stat().st_size / 2**20:.1f} MiB, for any '
            f'{", ".join(about["dynamic"])}; on {sizes} within {worst:.1g} of PyTorch.')


def main(argv=None) -> None:
    args = parse_args(argv)
    try:
        print(export(args))
    except PredictError as error:
        raise SystemExit(str(error)) from error


if __name__ == '__main__':
    main()
