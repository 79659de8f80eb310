"""Draw the maps of stages: their three main directions as colours, or single channels.

    python tools/visualization/features.py CONFIG CHECKPOINT IMAGE --out features.png [--channels 0 5]

The first row is the input, then one row a stage (and channel).
"""
import torch

import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.visualization import colored, painted, principal_colors
from mmuniformer.visualization.cli import parser_of, run


def draw(args, model, sample):
    kept, handles = {}, []
    for stage in args.stages:
        blocks = getattr(model.backbone, f'blocks{stage}', None)
        if blocks is None:
            raise ValueError(f'the backbone has no stage {stage}: stages are 1 to {model.backbone.num_stages}')
        handles.append(blocks[-1].register_forward_hook(lambda _, __, output, stage=stage: kept.update(
            {stage: (output[0] if isinstance(output, tuple) else output)[0].movedim(-1, 0)})))
    with torch.no_grad():
        model.backbone(sample.inputs)
    for handle in handles:
        handle.remove()
    rows = [sample.frames]
    for stage, features in kept.items():
        if args.channels is None:
            rows.append(painted(sample.frames, principal_colors(features)))
            continue
        for channel in args.channels:
            if not 0 <= channel < len(features):
                raise ValueError(f'stage {stage} has channels 0 to {len(features) - 1}; got {channel}')
            values = features[channel] - features[channel].min()
            rows.append(colored(sample.frames, values, strength=1))
    return rows, f'Stages {args.stages}:'


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument('--stages', type=int, nargs='+', default=[1, 2, 3, 4], help='default: all four')
    parser.add_argument('--channels', type=int, nargs='+', help='draw these instead of the main directions')
    run(parser, draw)


if __name__ == '__main__':
    main()
