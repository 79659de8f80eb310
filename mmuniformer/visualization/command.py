"""What the commands of ``tools/visualization`` share."""
import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from mmengine.config import DictAction
from torch import nn

from mmuniformer.apis import PredictError
from mmuniformer.apis.model import load_model
from mmuniformer.engine.launch import read_config

from .draw import check_suffix, save
from .inputs import Sample, read_sample

Draw = Callable[[argparse.Namespace, nn.Module, Sample], tuple[Mapping[str, np.ndarray], str]]


def parser_of(description: str) -> argparse.ArgumentParser:
    """Arguments that every command has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of any task')
    parser.add_argument('checkpoint', help='its weights: a file, URL or hf://owner/repository/file')
    parser.add_argument('input', help="an image, for MMAction2's configs a video; read as the config's validation data")
    parser.add_argument('--out', type=Path, required=True, help='*.png (a column for each frame) or *.gif')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='settings of the config to change')
    return parser


def run(parser: argparse.ArgumentParser, draw: Draw, argv: list[str] | None = None) -> None:
    """Parse, read, let ``draw`` make named rows of frames and a sentence, write and print them."""
    args = parser.parse_args(argv)
    try:
        check_suffix(args.out)
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options)
        model = load_model(cfg, args.checkpoint)
        if not isinstance(getattr(model, 'backbone', None), nn.Module):
            raise PredictError(f'{type(model).__name__} has no backbone to look into')
        rows, said = draw(args, model, read_sample(cfg, model, args.input))
    except PredictError as error:
        raise SystemExit(str(error)) from error
    save(rows, args.out)
    print(f'{args.out}: {said}')
