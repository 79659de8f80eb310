"""Predict with a model of any task: draw on the input, write what was seen as JSON; a timeline of long videos.

    python demo/predict.py CONFIG_OR_ZOO_NAME CHECKPOINT INPUT

INPUT is an image, a video, a folder, or the number of a camera (Ctrl-C ends it). The results go to --out.
"""
import argparse
import warnings

from mmuniformer.apis import PredictError, Predictor


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file, or the file name of a config in the zoo')
    parser.add_argument('checkpoint', help='weights: a file, URL or hf://owner/repository/file')
    parser.add_argument('input', help='image, video, folder, or number of a camera')
    parser.add_argument('--out', default='predictions', help='folder for the results (predictions)')
    parser.add_argument('--device', help='such as cpu or cuda:0 (the accelerator if there is one)')
    parser.add_argument('--labels', help='text file with the name of one class a line (those of the checkpoint)')
    parser.add_argument('--threshold', type=float, default=0.3,
                        help='least score of a box, and of a drawn keypoint (0.3)')
    parser.add_argument('--detector', nargs=2, metavar=('CONFIG', 'CHECKPOINT'),
                        help='pose: MMDetection model whose class 0 are the boxes to look at (the whole picture)')
    parser.add_argument('--window', type=float, metavar='SECONDS',
                        help='recognition: seconds to look at at a time (of videos over 20 s what a clip spans)')
    parser.add_argument('--stride', type=float, metavar='SECONDS',
                        help='recognition: seconds from one window to the next (half a window)')
    parser.add_argument('--seconds', type=float, help='camera: stop after so many seconds')
    parser.add_argument('--fps', type=float, default=30., help='frames a second of a folder of frames (30)')
    parser.add_argument('--video', choices=['mp4', 'webm'], default='mp4',
                        help='container of drawn videos; webm is what browsers show (mp4)')
    return parser.parse_args()


def summary(result: dict) -> str:
    """A line for the terminal."""
    first = result if 'labels' in result else result['frames'][0]
    if 'labels' in first:
        said = ', '.join(f'{label["name"]} {label["score"]:.2f}' for label in first['labels'][:3])
    elif 'instances' in first:
        said = f'{len(first["instances"])} found'
    elif 'classes' in first:
        said = ', '.join(f'{part["name"]} {part["share"]:.0%}' for part in first['classes'][:3])
    else:
        said = f'{len(first["people"])} boxes with keypoints'
    more = len(result.get('windows') or result['frames'])
    what = 'windows' if 'windows' in result else 'frames'
    return f'{result["input"]}: {said}' + (f' ({"in all" if "labels" in result else "in the first"} of {more} {what})'
                                           if more > 1 else '')


def main() -> None:
    args = parse_args()
    warnings.showwarning = lambda message, *_: print(message)
    try:
        predictor = Predictor(args.config, args.checkpoint, args.device, args.labels, args.threshold, args.detector)
        results = predictor(args.input, args.out, window=args.window, stride=args.stride, seconds=args.seconds,
                            fps=args.fps, video=args.video)
    except PredictError as error:
        raise SystemExit(str(error)) from error
    for result in results if isinstance(results, list) else [results]:
        print(summary(result))
        for note in result.get('notes', ()):
            print(f'  {note}')
    print(f'See {args.out}')


if __name__ == '__main__':
    main()
