"""Measure a set of backbones and steps against their peers, and write the tables of it.

    python tools/analysis_tools/performance_tables.py cpu
    python tools/analysis_tools/performance_tables.py cuda --only 'videos.*training'
    python tools/analysis_tools/performance_tables.py check --list

Each row is a call of benchmark.py in a process of its own. What it measured is kept in a file, and a row that has such
a file is not run again: an interrupted set goes on where it was. A row that fails is named with its reason, and the
next one runs.
"""
import argparse
import re
import shlex
from pathlib import Path

from mmuniformer.analysis.jobs import Outcome, find, run_once
from mmuniformer.analysis.rows import SETS, Row
from mmuniformer.analysis.tables import seconds, tables

BENCHMARK = Path(__file__).with_name('benchmark.py')
TABLES = 'tables.md'


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('set', choices=SETS, help='which rows; check takes a minute and only shows that all works')
    parser.add_argument('--only', metavar='PATTERN', default='',
                        help='run only rows whose name matches this regular expression; --list prints the names')
    parser.add_argument('--list', action='store_true', help='print the names and exact commands and run nothing')
    parser.add_argument('--work-dir', type=Path, help='where figures and tables go. Default: work_dirs/performance/SET')
    parser.add_argument('--device', help='default: cuda for the set cuda, else cpu')
    parser.add_argument('--threads', type=int, help="threads on the CPU; default: PyTorch's")
    parser.add_argument('--limit', type=float, default=1800, help='seconds that a row may take (default 1800)')
    parser.add_argument('--overwrite', action='store_true', help='run rows again that have figures')
    args = parser.parse_args(argv)
    try:
        re.compile(args.only)
    except re.error as error:
        parser.error(f'--only {args.only} is no regular expression: {error}')
    if args.limit <= 0 or args.threads is not None and args.threads < 1:
        parser.error('--limit and --threads must be positive')
    args.device = args.device or ('cuda' if args.set == 'cuda' else 'cpu')
    args.work_dir = args.work_dir or Path('work_dirs/performance', args.set)
    return args


def arguments(row: Row, args: argparse.Namespace) -> list[str]:
    """The benchmark's, but for where it writes."""
    threads = [] if args.threads is None else ['--threads', str(args.threads)]
    return [*shlex.split(row.arguments), '--device', args.device, *threads]


def main() -> None:
    args = parse_args()
    rows = SETS[args.set]
    chosen = [row for row in rows if re.search(args.only, row.name)]
    if not chosen:
        raise SystemExit(f'performance_tables.py: no row of {args.set} matches {args.only}; --list prints their names')
    if args.list:
        for row in chosen:
            command = [*arguments(row, args), '--json', str(args.work_dir / f'{row.name}.json')]
            print(f'# {row.name}\npython {shlex.quote(str(BENCHMARK))} {shlex.join(command)}')
        return
    outcomes = {}
    for row in rows:
        path = args.work_dir / f'{row.name}.json'
        if row not in chosen:
            outcome = find(arguments(row, args), path)
        else:
            print(f'{row.name} ...', flush=True)
            outcome = run_once(BENCHMARK, arguments(row, args), path, args.limit, args.overwrite)
            print(f'    {describe(outcome)}', flush=True)
        if outcome is not None:
            outcomes[row.name] = outcome
            write(args, outcomes)
    failed = [row.name for row in chosen if outcomes[row.name].failed]
    print(f'Tables: {args.work_dir / TABLES}')
    if failed:
        raise SystemExit(f'performance_tables.py: without figures: {", ".join(failed)}')


def describe(outcome: Outcome) -> str:
    """One line of what a row gave."""
    if outcome.failed:
        return f'failed: {outcome.failed}'
    result = outcome.result
    return (f'{seconds(result["seconds"]["ours"])}, the peer takes {result["ratio"]["median"]:.2f} times as long'
            + ('' if outcome.is_new else ' (had been measured)'))


def write(args: argparse.Namespace, outcomes: dict[str, Outcome]) -> None:
    """The tables of all that has been measured up to now."""
    args.work_dir.mkdir(parents=True, exist_ok=True)
    results = {name: outcome.result for name, outcome in outcomes.items() if not outcome.failed}
    failed = {name: outcome.failed for name, outcome in outcomes.items() if outcome.failed}
    (args.work_dir / TABLES).write_text(tables(SETS[args.set], results, failed))


if __name__ == '__main__':
    main()
