"""Draw which places speak for a class: Grad-CAM of local (1, 2) and global (3, 4) stages of a classifier.

    python tools/visualization/grad_cam.py CONFIG CHECKPOINT VIDEO --out cam.png

A row for each stage under the input; red is what speaks for the class most, in that stage.
"""
import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.visualization import colored, grad_cam, scores_of
from mmuniformer.visualization.command import parser_of, run


def draw(args, model, sample):
    maps, label, probability = grad_cam(scores_of(model), model.backbone, sample.inputs, args.stages, args.label)
    rows = {f'stage {stage}': colored(sample.frames, each, args.strength) for stage, each in zip(args.stages, maps)}
    return dict(input=sample.frames, **rows), f'class {label}, probability {probability:.3f}'


def main(argv=None) -> None:
    parser = parser_of(__doc__)
    parser.add_argument('--label', type=int, help='the class from 0 (the one of the highest score)')
    parser.add_argument('--stages', type=int, nargs='+', default=[1, 2, 3, 4], help='all four')
    parser.add_argument('--strength', type=float, default=0.5, help='share of the colour over the frame, 0 to 1 (0.5)')
    run(parser, draw, argv)


if __name__ == '__main__':
    main()
