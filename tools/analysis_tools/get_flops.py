"""Print a model's parameters and FLOPs: of a config of any task, or of a backbone by the name of its size.

    python tools/analysis_tools/get_flops.py CONFIG [--shape 800 1280] [--by-stage]
    python tools/analysis_tools/get_flops.py --arch small --shape 224 --num-classes 1000
    python tools/analysis_tools/get_flops.py --arch small --shape 3 16 224 224 --by-stage

One multiply-add is one FLOP, as fvcore counts; see mmuniformer/analysis/complexity.py.
"""
import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import nn

import mmuniformer  # noqa: F401  (registers the backbones)
from mmuniformer.analysis import (
    KINDS,
    Part,
    bare_model,
    by_stage,
    count,
    default_shape,
    example_inputs,
    masks_of_detections,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Parameters and FLOPs of a model; one multiply-add is one FLOP.')
    parser.add_argument('config', nargs='?', help='config file of any task; without one, --arch')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        help='input: SIDE, or HEIGHT WIDTH, or 3 HEIGHT WIDTH, or 3 FRAMES HEIGHT WIDTH. Default: what the config '
        'validates on; 800 1280 for detection, 512 2048 for segmentation, 224 without a config')
    parser.add_argument('--by-stage', action='store_true', help='print each stage and each other part, too')
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, default={}, help='settings of the config to change, KEY=VALUE')
    bare = parser.add_argument_group('a model without a config')
    bare.add_argument(
        '--arch', help='small, small_plus, base, large, xxs or xs; --shape with frames makes it the video model')
    bare.add_argument('--attention', help='global, window or hybrid; for videos joint or divided')
    bare.add_argument('--num-classes', type=int, default=0, help='add a classifier; default: the backbone alone')
    args = parser.parse_args()
    if (args.config is None) == (args.arch is None):
        parser.error('give either a config file or --arch')
    return args


def full_shape(numbers: Sequence[int], frames: Sequence[int] = ()) -> tuple[int, ...]:
    """``--shape`` as ``(C, H, W)`` or ``(C, T, H, W)``; ``frames`` fills in the T that was not given."""
    if not 1 <= len(numbers) <= 4 or min(numbers) < 1:
        raise ValueError(f'--shape takes one to four positive numbers (SIDE; HEIGHT WIDTH; 3 HEIGHT WIDTH; '
                         f'3 FRAMES HEIGHT WIDTH), got {" ".join(map(str, numbers))}')
    if len(numbers) >= 3:
        return tuple(numbers)
    return 3, *frames, numbers[0], numbers[-1]


def model_of_config(args: argparse.Namespace) -> tuple[nn.Module, tuple[int, ...]]:
    if not Path(args.config).is_file():
        raise FileNotFoundError(f'there is no config file {args.config}')
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    if 'model' not in cfg:
        raise ValueError(f'{args.config} has no `model`')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    needs_frames = args.shape and len(args.shape) < 3 and cfg.get('default_scope') == 'mmaction'
    frames = default_shape(cfg)[1:2] if needs_frames else ()
    shape = full_shape(args.shape, frames) if args.shape else default_shape(cfg)
    # SyncBN needs a process group even to be counted.
    model = revert_sync_batchnorm(MODELS.build(cfg.model))
    masks_of_detections(model)
    return model, shape


def table(rows: Sequence[Part], total: int) -> str:
    """Parts as lines: parameters, FLOPs and their share of ``total``, FLOPs by kind."""
    kinds = [kind for kind in KINDS if any(row.kinds.get(kind) for row in rows)]
    width = max(len(row.name) for row in rows)
    lines = [f'{"":{width}} {"params (M)":>11} {"GFLOPs":>9} {"share":>7}' + ''.join(f'{kind:>10}' for kind in kinds)]
    for row in rows:
        lines.append(f'{row.name:{width}} {row.params / 1e6:11.2f} {row.flops / 1e9:9.2f} {row.flops / total:7.1%}' +
                     ''.join(f'{row.kinds.get(kind, 0) / 1e9:10.2f}' for kind in kinds))
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    torch.manual_seed(0)
    if args.config:
        model, shape = model_of_config(args)
    else:
        shape = full_shape(args.shape or (224, ))
        model = bare_model(args.arch, shape, args.attention, args.num_classes)
    inputs, options = example_inputs(model, shape)
    complexity = count(model, *inputs, **options)

    rows = by_stage(model, complexity) if args.by_stage else []
    print(table([*rows, Part('total', complexity.params, complexity.kinds)], complexity.flops))
    line = '=' * 30
    print(f'{line}\nInput shape: {(1, *shape)}\n'
          f'Flops: {complexity.flops / 1e9:.2f} G\nParams: {complexity.params / 1e6:.2f} M\n{line}')


if __name__ == '__main__':
    try:
        main()
    except (ValueError, TypeError, FileNotFoundError, KeyError, ImportError) as error:
        sys.exit(f'get_flops.py: {error}')
