"""Draw the maps of stages: their three main directions as colours, or single channels.

    python tools/visualization/features.py CONFIG CHECKPOINT IMAGE --out features.png [--channels 0 5]

A row for each stage (and channel) under the input.
"""
import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.apis import PredictError
from mmuniformer.visualization import colored, features_of, painted, principal_colors
from mmuniformer.visualization.command import parser_of, run


def draw(args, model, sample):
    rows = dict(input=sample.frames)
    for stage, features in zip(args.stages, features_of(model.backbone, sample.inputs, args.stages)):
        if args.channels is None:
            rows[f'stage {stage}'] = painted(sample.frames, principal_colors(features))
        for channel in args.channels or ():
            if not 0 <= channel < features.shape[-1]:
                raise PredictError(f'stage {stage} has channels 0 to {features.shape[-1] - 1}, got {channel}')
            values = features[..., channel]
            rows[f'{stage}, ch. {channel}'] = colored(sample.frames, values - values.min(), strength=1)
    what = 'three main directions' if args.channels is None else 'channels ' + ', '.join(map(str, args.channels))
    return rows, f'{what} of stages {", ".join(map(str, args.stages))}'


def main(argv=None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument('--stages', type=int, nargs='+', default=[1, 2, 3, 4], help='all four')
    parser.add_argument('--channels', type=int, nargs='+', help='draw these (the three main directions)')
    run(parser, draw, argv)


if __name__ == '__main__':
    main()
