"""Draw what one token attends to in a block of stage 3 or 4, in every frame (arXiv 2201.04676, Fig. 1).

    python tools/visualization/attention.py CONFIG CHECKPOINT VIDEO --out attention.png --query 4 2 3

The query is a token of the stage's map, for videos time, row and column, for images row and column, each from 0. A
white square shows it. Red is the largest share of its attention.
"""
import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.visualization import attention_of, colored, marked
from mmuniformer.visualization.command import parser_of, run


def draw(args, model, sample):
    values, query, block = attention_of(model.backbone, sample.inputs, args.stage, args.block, args.query, args.head)
    rows = dict(input=marked(sample.frames, query, values.shape),
                attention=colored(sample.frames, values, args.strength))
    return rows, (f'attention of token {query} of {tuple(values.shape)} in block {block} of stage {args.stage}, '
                  f'largest share {float(values.max()):.3f}')


def main(argv=None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument('--query', type=int, nargs='+', metavar='N', help='the token (the one in the middle)')
    parser.add_argument('--stage', type=int, default=3, help='3 or 4 (3)')
    parser.add_argument('--block', type=int, help='from 0, or negative from the end (the last that relates all tokens)')
    parser.add_argument('--head', type=int, help="one of the attention's heads (the mean over them)")
    parser.add_argument('--strength', type=float, default=0.6, help='share of the colour over the frame, 0 to 1 (0.6)')
    run(parser, draw, argv)


if __name__ == '__main__':
    main()
