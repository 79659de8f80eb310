"""FLOPs of each stage against the resolution of a square image (arXiv 2201.09450, Fig. 4): a table and a plot.

    python tools/analysis_tools/stage_flops.py [--arch small] [--attention hybrid] [--out work_dirs/stage_flops.png]

Stages 3 and 4 are split into the products of attention, which grow with the fourth power of the side, and the rest,
which grows with the second. At 1008 x 1008 those of UniFormer-S's stage 3 are over half of all, and 28 times stage 4's.
"""
import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mmuniformer.analysis import Part, bare_model, by_stage, count, example_inputs

#: Multiples of 112: whole windows of 14 tokens up to the paper's largest, 1008.
RESOLUTIONS = tuple(range(224, 1009, 112))


@dataclass(frozen=True)
class Row:
    """The four stages of a backbone at one resolution, and the operations of all of it."""
    resolution: int
    stages: Sequence[Part]
    flops: int

    def matmul(self, stage: int) -> int:
        """Operations of the products of attention in a stage (1 to 4)."""
        return self.stages[stage - 1].kinds.get('matmul', 0)


def measure(arch: str, attention: str | None, resolutions: Sequence[int]) -> list[Row]:
    rows = []
    model = bare_model(arch, (3, 224, 224), attention)
    for side in resolutions:
        inputs, options = example_inputs(model, (3, side, side))
        complexity = count(model, *inputs, **options)
        rows.append(Row(side, by_stage(model, complexity)[:4], complexity.flops))
    return rows


def table(rows: Sequence[Row]) -> str:
    lines = [
        '            GFLOPs of stage                          attention products of stage',
        'resolution        1        2        3        4    total        3  (share)        4  3 over 4'
    ]
    for row in rows:
        stages = ''.join(f'{stage.flops / 1e9:9.2f}' for stage in row.stages)
        lines.append(f'{row.resolution:10d}{stages}{row.flops / 1e9:9.2f}{row.matmul(3) / 1e9:9.2f} '
                     f'{row.matmul(3) / row.flops:8.1%}{row.matmul(4) / 1e9:9.2f}{row.matmul(3) / row.matmul(4):10.1f}')
    return '\n'.join(lines)


def plot(rows: Sequence[Row], title: str, path: Path) -> None:
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    colors = ('#8fb8de', '#4f86c0', '#d9713c', '#6f9d5b')
    figure, (absolute, relative) = plt.subplots(1, 2, figsize=(12, 4.8), layout='constrained')
    labels = [str(row.resolution) for row in rows]
    for axes, scale in ((absolute, [1e9] * len(rows)), (relative, [row.flops / 100 for row in rows])):
        bottom = [0.] * len(rows)
        for stage, color in zip(range(1, 5), colors):
            matmul = [row.matmul(stage) / s for row, s in zip(rows, scale)]
            others = [row.stages[stage - 1].flops / s - m for row, s, m in zip(rows, scale, matmul)]
            bars = [(others, f'stage {stage}' + (', rest' if any(matmul) else ''), None)]
            bars += [(matmul, f'stage {stage}, attention products', '///')] if any(matmul) else []
            for heights, label, hatch in bars:
                axes.bar(labels, heights, 0.8, bottom, color=color, edgecolor='white', hatch=hatch, label=label)
                bottom = [b + h for b, h in zip(bottom, heights)]
        axes.set_xlabel('side of the image (pixels)')
        axes.spines[['top', 'right']].set_visible(False)
    absolute.set_ylabel('GFLOPs (one multiply-add is one)')
    relative.set_ylabel('share of all (%)')
    relative.set_ylim(0, 100)
    # From top to bottom as the bars are stacked.
    handles, names = absolute.get_legend_handles_labels()
    absolute.legend(handles[::-1], names[::-1], frameon=False, loc='upper left')
    figure.suptitle(title)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description='FLOPs of each stage against resolution, as a table and a plot.')
    parser.add_argument('--arch', default='small', help='small (default), small_plus, base, large, xxs or xs')
    parser.add_argument('--attention', help='of stage 3: global (default), window or hybrid; not for xxs and xs')
    parser.add_argument('--resolutions', type=int, nargs='+', default=RESOLUTIONS, help='sides of the image in pixels')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/stage_flops.png'), help='where the plot goes')
    args = parser.parse_args()

    rows = measure(args.arch, args.attention, args.resolutions)
    print(table(rows))
    plot(rows, f'FLOPs of each stage: {args.arch}' + (f', {args.attention}' if args.attention else ''), args.out)
    print(f'Plot: {args.out}')


if __name__ == '__main__':
    try:
        main()
    except ValueError as error:
        sys.exit(f'stage_flops.py: {error}')
