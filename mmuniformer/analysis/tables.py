"""Tables in Markdown of what the benchmark measured."""
from collections.abc import Mapping, Sequence

from .rows import Row

BENCHMARK = 'python tools/analysis_tools/benchmark.py'


def tables(rows: Sequence[Row], results: Mapping[str, dict], failed: Mapping[str, str]) -> str:
    """Two tables for each section, the machine above them and the commands below.

    Args:
        rows: The rows of a set, in their order.
        results: What the benchmark wrote for each, by the row's name; rows that are not in it are named below.
        failed: Why there is no result of a row that was run, by its name.

    Returns:
        Markdown, which ends with a line break.
    """
    done = [row for row in rows if row.name in results]
    parts = [f'{each}.\n' for each in dict.fromkeys(origin(results[row.name]) for row in done)]
    for section in dict.fromkeys(row.section for row in done):
        members = [(row, results[row.name]) for row in done if row.section == section]
        parts.append(f'## {section}\n')
        parts.append(_table(['', 'ours', 'peer', 'peer takes (quartiles)', 'peak memory', "of the peer's",
                             "of the matrix product's rate", 'samples/s'],
                            [_speed(row, result) for row, result in members]))
        parts.append(_table(['for a sample', 'GFLOP', 'MB at least', 'FLOP a byte', 'of the roofline'],
                            [_work(row, result) for row, result in members]))
        parts.append('```shell\n' + '\n'.join(_command(result) for _, result in members) + '\n```\n')
    missing = [f'- {row.section}, {row.what}: {failed.get(row.name, "not run yet")}'
               for row in rows if row.name not in results]
    if missing:
        parts.append('## Without figures\n\n' + '\n'.join(missing) + '\n')
    return '\n'.join(parts)


def _command(result: dict) -> str:
    return f'{BENCHMARK} {result["command"].split(" --json ")[0]}'


def seconds(value: float) -> str:
    """Three digits, in milliseconds below a second."""
    return f'{value:.3g} s' if value >= 1 else f'{value * 1e3:.3g} ms'


def mebibytes(value: float) -> str:
    """Bytes in MiB."""
    return f'{value / 2**20:.0f} MiB'


def origin(result: dict) -> str:
    """Where and when figures were measured."""
    return f'{result["device"]}, {result["threads"]} threads, torch {result["torch"]}, {result["date"]}'


def _table(head: list[str], body: list[list[str]]) -> str:
    return ''.join(f'| {" | ".join(cells)} |\n' for cells in (head, ['---'] * len(head), *body))


def _speed(row: Row, result: dict) -> list[str]:
    peer = next(name for name in result['throughput'] if name != 'ours')
    ratio = result['ratio']
    cells = [
        row.what, seconds(result['seconds']['ours']), f'{seconds(result["seconds"][peer])} ({peer})',
        _with_goal(f'{ratio["median"]:.2f} ({ratio["low"]:.2f} to {ratio["high"]:.2f})', row.goal.ratio, '.3g')
    ]
    if 'memory' in result:
        share = result['memory']['ours'] / result['memory'][peer]
        cells += [mebibytes(result['memory']['ours']), _with_goal(f'{share:.2f}', row.goal.memory, '.3g')]
    else:
        cells += ['', '']
    return cells + [_with_goal(f'{result["share_of_peak"]:.0%} of {result["peak_flops_per_second"] / 1e9:.0f} GFLOP/s',
                               row.goal.share, '.0%'), f'{result["throughput"]["ours"]:.3g}']


def _with_goal(text: str, goal: float | None, form: str) -> str:
    return text if goal is None else f'{text}; goal {goal:{form}}'


def _work(row: Row, result: dict) -> list[str]:
    samples = result['input'][0]
    return [row.what, f'{result["flops"] / samples / 1e9:.3g}', f'{result["bytes"] / samples / 1e6:.3g}',
            f'{result["flops"] / result["bytes"]:.0f}', f'{result["share_of_roofline"]:.0%}']
