"""Time and peak memory of a backbone as its input grows: over frames of a clip, and over the side of an image.

    python tools/analysis_tools/cost_growth.py
    python tools/analysis_tools/cost_growth.py --train --limit 900
    python tools/analysis_tools/cost_growth.py --frames --sides 224 448 896 --attention window hybrid

Each point is a call of benchmark.py in a process of its own. What it measured is kept in a file, and a point that has
one is not measured again. A point that needs more memory than there is, or more time than --limit, is marked as such.
Written are STEP.json, STEP.csv, STEP-frames.png and STEP-sides.png, STEP being inference or training.
"""
import argparse
import csv
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from mmuniformer.analysis.jobs import Outcome, run_once
from mmuniformer.analysis.tables import mebibytes, origin, seconds
from mmuniformer.models.backbones.arch import ARCHS
from mmuniformer.visualization.growth import GrowthPoint, draw_growth

BENCHMARK = Path(__file__).with_name('benchmark.py')


@dataclass(frozen=True)
class Axis:
    """What grows: the name of its figure, of its axis, and the power of it that the number of pixels grows with."""
    name: str
    label: str
    exponent: int


FRAMES = Axis('frames', 'frames of 224 x 224', 1)
SIDES = Axis('sides', 'side of the image in pixels', 2)


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=ARCHS, default='small', help='small (default), small_plus, base or large')
    parser.add_argument('--frames', type=int, nargs='*', default=[8, 16, 32, 64],
                        help='numbers of frames (default 8 16 32 64); without a number: none')
    parser.add_argument('--sides', type=int, nargs='*', default=[224, 448, 896, 1344, 2048],
                        help='sides of square images (default 224 448 896 1344 2048); without a number: none')
    parser.add_argument('--clip-side', type=int, default=224, help='side of the frames (default 224)')
    parser.add_argument('--attention', nargs='+', choices=['global', 'window', 'hybrid'],
                        default=['global', 'window', 'hybrid'], help='of stage 3, for images; default: all three')
    parser.add_argument('--train', action='store_true', help='a training step instead of inference')
    parser.add_argument('--dtype', choices=['float32', 'bfloat16', 'float16'], default='float32')
    parser.add_argument('--device', default='cpu', help='cpu (default) or cuda')
    parser.add_argument('--threads', type=int, help="threads on the CPU; default: PyTorch's")
    parser.add_argument('--repeats', type=int, default=5, help='timed runs of a point (default 5)')
    parser.add_argument('--limit', type=float, default=600, help='seconds that a point may take (default 600)')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/cost_growth'), help='where all is written')
    parser.add_argument('--overwrite', action='store_true', help='measure points again that have figures')
    args = parser.parse_args(argv)
    if not args.frames and not args.sides:
        parser.error('give --frames or --sides, or leave out both')
    if min([*args.frames, *args.sides, args.clip_side, args.repeats, args.threads or 1, args.limit]) <= 0:
        parser.error('all numbers must be positive')
    return args


def grid(args: argparse.Namespace) -> Iterator[tuple[Axis, str, int, str]]:
    """Of each point what grows, the curve, the size, and the benchmark's arguments for network and input."""
    for frames in args.frames:
        yield FRAMES, 'joint', frames, f'--shape 3 {frames} {args.clip_side} {args.clip_side}'
    for side in args.sides:
        for attention in args.attention:
            yield SIDES, attention, side, f'--shape {side} --attention {attention}'


def arguments(args: argparse.Namespace, of_point: str) -> list[str]:
    """The benchmark's, but for where it writes."""
    found = ['--arch', args.arch, *of_point.split(), '--dtype', args.dtype, '--device', args.device, '--warmup', '1',
             '--repeats', str(args.repeats)]
    found += ['--threads', str(args.threads)] if args.threads else []
    return found + ['--train'] * args.train


def as_point(series: str, size: int, outcome: Outcome) -> GrowthPoint:
    if outcome.failed:
        return GrowthPoint(series, size, failed=outcome.failed)
    result = outcome.result
    return GrowthPoint(series, size, result['seconds']['ours'], result['memory']['ours'], result['flops'] / 1e9)


def write(args: argparse.Namespace, points: list[tuple[Axis, GrowthPoint]], origins: list[str]) -> list[Path]:
    """Write everything that is known up to now; the files."""
    step = 'training' if args.train else 'inference'
    table, page = (args.work_dir / f'{step}.{suffix}' for suffix in ('csv', 'json'))
    rows = [dict(axis=axis.name, **asdict(point)) for axis, point in points]
    page.write_text(json.dumps(dict(arch=args.arch, step=step, dtype=args.dtype, measured_on=origins, points=rows),
                               indent=1) + '\n')
    with table.open('w', newline='') as file:
        writer = csv.DictWriter(file, ['axis', *(field.name for field in fields(GrowthPoint))])
        writer.writeheader()
        writer.writerows(rows)
    files = [page, table]
    for axis in (FRAMES, SIDES):
        mine = [point for other, point in points if other == axis]
        if mine:
            files.append(args.work_dir / f'{step}-{axis.name}.png')
            title = f'UniFormer {args.arch}, {step}, {args.dtype}' + ''.join(f'\n{each}' for each in origins)
            draw_growth(mine, files[-1], axis.label, title, axis.exponent)
    return files


def main() -> None:
    args = parse_args()
    points, origins = [], {}
    for axis, series, size, of_point in grid(args):
        name = f'{"training" if args.train else "inference"}-{axis.name}-{series}-{size}'
        print(f'{name} ...', flush=True)
        outcome = run_once(BENCHMARK, arguments(args, of_point), args.work_dir / 'points' / f'{name}.json', args.limit,
                           args.overwrite)
        point = as_point(series, size, outcome)
        points.append((axis, point))
        if point.failed:
            print(f'    failed: {point.failed}', flush=True)
        else:
            origins[origin(outcome.result)] = None
            print(f'    {seconds(point.seconds)}, {mebibytes(point.bytes)}', flush=True)
        files = write(args, points, list(origins))
    print('Written:', *files)
    if all(point.failed for _, point in points):
        raise SystemExit(f'cost_growth.py: no point could be measured; the last one: {points[-1][1].failed}')


if __name__ == '__main__':
    main()
