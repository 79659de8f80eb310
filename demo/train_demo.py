"""Generate data, train a small UniFormer on it, test it and show what it learned: ``make demo`` runs this.

Writes ``report.json``, ``learning_curve.png`` and ``contact_sheet.png`` into ``work_dirs/demo/TASK/`` (with
``--arch light`` ``work_dirs/demo/TASK-light/``). A run that was interrupted goes on from its last checkpoint when the
command is given again.
"""
import argparse

from demokit.run import run
from demokit.tasks import ARCHS, TASKS
from mmengine.config import DictAction


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--task', choices=[*TASKS, 'all'], default='recognition', help='which demo (recognition)')
    parser.add_argument('--arch', choices=ARCHS, default='uniformer',
                        help='family of models; light has a demo of its own for recognition (uniformer)')
    parser.add_argument('--work-dir', help='where all results go (work_dirs/demo/TASK)')
    parser.add_argument('--data-root', help="where the generated data goes (the config's, data/demo/TASK)")
    parser.add_argument('--min-value', type=float, help="least value of the metric that counts (the task's)")
    parser.add_argument('--max-one-frame', type=float,
                        help='highest value that counts for the model that sees one repeated frame (twice chance)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override the config: key.subkey=value, lists as key="[a,b]"')
    args = parser.parse_args()
    if args.task not in (*ARCHS[args.arch], 'all'):
        parser.error(f'--arch {args.arch} has no demo for --task {args.task}, only for {", ".join(ARCHS[args.arch])}')
    if args.task == 'all' and len(TASKS) > 1 and (args.work_dir or args.data_root or args.cfg_options):
        parser.error('--work-dir, --data-root and --cfg-options are for one task: choose it by --task')
    return args


def main() -> None:
    args = parse_args()
    failures = []
    tasks = ARCHS[args.arch]
    for name in (tasks if args.task == 'all' else [args.task]):
        try:
            failures += run(tasks[name](), args.work_dir, args.data_root, args.cfg_options, args.min_value,
                            args.max_one_frame)
        except FileExistsError as error:  # a folder of somebody else's files
            raise SystemExit(str(error)) from error
    if failures:
        raise SystemExit('\n'.join(failures))


if __name__ == '__main__':
    main()
