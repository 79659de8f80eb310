"""Convert a whole model, backbone and head, between the official release's names and OpenMMLab's.

The backbone's names are the same, and `init_cfg` and `mmuniformer.checkpoint.load` take any layout as it is. This is
for `--checkpoint`, `load_from` and inferencers, which load a whole model by its own names, and for weights trained here
that are to run in the release's code.
"""
import argparse
import sys
from pathlib import Path

import torch

from mmuniformer.checkpoint import CheckpointError
from mmuniformer.checkpoint.convert import to_mm, to_official
from mmuniformer.checkpoint.reading import read


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint: a path, an http(s):// URL, or hf://owner/repository/file.pth')
    parser.add_argument('target', type=Path, help='file to write')
    parser.add_argument('--to', choices=['mm', 'official'], required=True,
                        help='mm: MMPretrain, MMAction2, MMPose, MMDetection, MMSegmentation; official: the release')
    return parser.parse_args(argv)


def main(argv=None) -> int:
    args = parse_args(argv)
    try:
        content, path = read(args.source)
        if path.resolve() == args.target.resolve():
            raise CheckpointError(f'{args.target} is the source: write to another file')
        converted = (to_mm if args.to == 'mm' else to_official)(content)
    except CheckpointError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    args.target.parent.mkdir(parents=True, exist_ok=True)
    torch.save(converted.content, args.target)
    print(f'{args.source} ({converted.layout}) -> {args.target} ({converted.kind})')
    if converted.left_out:
        print(f'left out, for want of a name there: {", ".join(converted.left_out)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
