"""What the commands of ``tools/visualization`` share."""
import argparse
from collections.abc import Callable
from pathlib import Path

from mmengine.config import DictAction

from mmuniformer.checkpoint import CheckpointError
from mmuniformer.engine.launch import read_config

from .draw import save
from .inputs import build_model, read_sample


def parser_of(description: str) -> argparse.ArgumentParser:
    """Arguments that every command has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file of any task')
    parser.add_argument('checkpoint', help="weights of any layout; 'none' for a model that is not trained")
    parser.add_argument('input', help="an image; for video configs a video. Read as the config's validation data are")
    parser.add_argument('--out', type=Path, required=True, help='*.png (a column for each frame) or *.gif')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='settings of the config to change')
    return parser


def run(parser: argparse.ArgumentParser, draw: Callable) -> None:
    """Parse, read, call ``draw(args, model, sample)``, which returns rows of frames and a line to print, and write."""
    args = parser.parse_args()
    if args.out.suffix not in ('.png', '.gif'):
        parser.error(f'--out must end in .png or .gif, got {args.out}')
    cfg = read_config(args.config)
    cfg.merge_from_dict(args.cfg_options)
    try:
        model = build_model(cfg, args.checkpoint)
        rows, text = draw(args, model, read_sample(cfg, model, args.input))
    except (ValueError, FileNotFoundError, CheckpointError) as error:
        raise SystemExit(str(error)) from error
    save(rows, args.out)
    print(f'{text} {args.out}')
