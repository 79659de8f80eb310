"""Draw what a token attends to in a block of stage 3 or 4, over all frames.

    python tools/visualization/attention.py CONFIG CHECKPOINT VIDEO --out attention.gif --query 0.5 0.5 0.5

The query is a place in the clip: time, height and width (images: height and width), each from 0 to 1; a white square
shows it. The first row is the input, the second the affinity of the query to each token.
"""
import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.visualization import attention_of, colored, marked
from mmuniformer.visualization.cli import parser_of, run


def draw(args, model, sample):
    query = args.query or [0.5] * (sample.inputs.ndim - 2)
    if len(query) != sample.inputs.ndim - 2 or not all(0 <= each <= 1 for each in query):
        raise ValueError(f'--query takes {sample.inputs.ndim - 2} numbers from 0 to 1, got {query}')
    shape = []
    blocks = getattr(model.backbone, f'blocks{args.stage}', None)
    if args.stage not in (3, 4) or blocks is None:
        raise ValueError(f'--stage must be 3 or 4, the stages with attention, and be built; got {args.stage}')
    handle = blocks[0].register_forward_pre_hook(lambda _, inputs: shape.extend(inputs[0].shape[1:-1]))
    model.backbone(sample.inputs)
    handle.remove()
    token = tuple(min(int(at * side), side - 1) for at, side in zip(query, shape))
    values = attention_of(model.backbone, sample.inputs, args.stage, args.block, token, args.head)
    rows = [marked(sample.frames, token, shape), colored(sample.frames, values, args.strength)]
    return rows, f'Token {token} of {tuple(shape)}, stage {args.stage}, block {args.block}:'


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument('--query', type=float, nargs='+', metavar='AT', help='default: the middle')
    parser.add_argument('--stage', type=int, default=3, help='3 (default) or 4')
    parser.add_argument('--block', type=int, default=-1, help='from 0; negative from the end (default: the last)')
    parser.add_argument('--head', type=int, help="one of the attention's heads (default: the mean over them)")
    parser.add_argument('--strength', type=float, default=0.6, help='share of the colour over the frame (default 0.6)')
    run(parser, draw)


if __name__ == '__main__':
    main()
