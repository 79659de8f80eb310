"""Draw which places speak for a class: Grad-CAM of local (1, 2) and global (3, 4) stages of a classifier.

    python tools/visualization/grad_cam.py CONFIG CHECKPOINT VIDEO --out cam.png

The first row is the input, then one row a stage.
"""
import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.visualization import colored, grad_cam
from mmuniformer.visualization.cli import parser_of, run


def draw(args, model, sample):
    head = getattr(model, 'cls_head', None) or getattr(model, 'head', None)
    names = {cls.__name__ for cls in type(model).__mro__}
    if head is None or not names & {'ImageClassifier', 'BaseRecognizer'}:
        raise ValueError('Grad-CAM is of a class: it takes a classifier of images or clips, not '
                         f'{type(model).__name__}')

    def scores(x):
        features = model.backbone(x)
        return head(model.neck(features) if model.with_neck else features)

    maps, label, probability = grad_cam(scores, model.backbone, sample.inputs, args.stages, args.label)
    rows = [sample.frames, *(colored(sample.frames, each, args.strength) for each in maps)]
    return rows, f'Class {label}, probability {probability:.3f}, stages {args.stages}:'


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument('--label', type=int, help='the class (default: the one of the highest score)')
    parser.add_argument('--stages', type=int, nargs='+', default=[1, 2, 3, 4], help='default: all four')
    parser.add_argument('--strength', type=float, default=0.5, help='share of the colour over the frame (default 0.5)')
    run(parser, draw)


if __name__ == '__main__':
    main()
