"""From a folder of your own data to a trained model and a report, in one command (docs/finetune.md).

Checks the data, splits them, writes a config that inherits from the zoo, trains, tests, reports. The same command goes
on where an interrupted run stopped.
"""
import argparse
import json

import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.engine.launch import Options
from mmuniformer.finetune.options import TASKS
from mmuniformer.finetune.run import main


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--task', required=True, choices=TASKS)
    parser.add_argument('--data', required=True, help='folder or file of the data')
    parser.add_argument('--val', help='validation data of the same layout (a share of --data is set aside)')
    parser.add_argument('--images', help='folder of the images of a COCO json (looked for beside it)')
    parser.add_argument('--arch', type=_arch, default='small', help='small, base, ..., or sizes in JSON (small)')
    parser.add_argument('--pretrained', help='weights to start from: path, URL, hf://..., or none (the published ones)')
    parser.add_argument('--epochs', type=int, help="(the task's)")
    parser.add_argument('--out', help='folder of all results (work_dirs/finetune/ and the name of the data)')
    parser.add_argument('--skip-bad', action='store_true', help='leave out what is seriously wrong in the data')
    parser.add_argument('--prepare', action='store_true', help='stop before the training: only check, split, write')
    parser.add_argument('--val-share', type=float, default=0.2, help='share of the data that is set aside (0.2)')
    parser.add_argument('--seed', type=int, default=0, help='of the split and the training (0)')
    parser.add_argument('--batch-size', type=int, help='(what fits the device)')
    parser.add_argument('--workers', type=int, help='processes that load training data (as the cores allow)')
    parser.add_argument('--size', type=int, help="side of the input in pixels, of pose its width (the zoo's)")
    parser.add_argument('--frames', type=int, default=16, help='frames of a clip, for videos (16)')
    parser.add_argument('--cfg-options', nargs='+', action=Options, default={}, metavar='KEY=VALUE',
                        help='put into the config: key.subkey=value, lists as key="[a,b]"')
    return parser.parse_args()


def _arch(text: str):
    try:
        return json.loads(text) if text.startswith('{') else text
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f'{text!r} is no JSON object ({error})') from error


if __name__ == '__main__':
    main(**vars(parse_args()))
