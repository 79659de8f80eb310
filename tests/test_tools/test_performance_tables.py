"""The tables of performance: their commands, one row from end to end, and what becomes of rows that fail."""
import importlib.util
import json
import re
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from mmuniformer.analysis import Operator, count
from mmuniformer.analysis.jobs import find, run_once
from mmuniformer.analysis.peers import PEERS
from mmuniformer.analysis.roofline import bytes_of, flops_of, least_seconds
from mmuniformer.analysis.rows import SETS, Goal, Row
from mmuniformer.analysis.tables import tables

TOOLS = Path(__file__).resolve().parents[2] / 'tools' / 'analysis_tools'


def load(name):
    """A tool as a module."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses look for it
    spec.loader.exec_module(module)
    return module


def call(name, *options, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, options)])
    load(name).main()


# ---------------------------------------------------------------- the rows
@pytest.mark.parametrize('name', SETS)
def test_commands_are_the_benchmarks(name):
    benchmark, tool = load('benchmark'), load('performance_tables')
    rows, backbones = SETS[name], {}
    assert len({row.name for row in rows}) == len(rows)
    for row in rows:
        args = benchmark.parse_args(tool.arguments(row, tool.parse_args([name, '--threads', '2'])))
        assert args.peer in PEERS and args.threads == 2 and args.device == ('cuda' if name == 'cuda' else 'cpu')
        assert args.train == row.what.endswith('training') and args.train != args.deploy
        network = args.arch, args.attention, *args.shape
        if network not in backbones:
            with torch.device('meta'):
                backbones[network], _ = benchmark.build(args)
        backbone = backbones[network]
        assert (args.peer == 'mmaction-uniformer') <= (backbone.ndim == 3 and not backbone.light)
        assert (args.peer == 'swin-t') <= (backbone.ndim == 2)


def test_list_prints_commands_and_runs_nothing(tmp_path, monkeypatch, capsys):
    call('performance_tables', 'cuda', '--list', '--only', 'videos-b.*training', '--work-dir', tmp_path / 'new',
         monkeypatch=monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    names, commands = lines[::2], lines[1::2]
    assert len(names) == len(commands) == 2  # eager and compiled
    for name, command in zip(names, commands):
        assert re.fullmatch(r'# videos-b-\S+-training', name)
        assert command.endswith(f'--train --device cuda --json {tmp_path}/new/{name[2:]}.json')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize('options, message', [
    (['cpu', '--only', '('], 'no regular expression'),
    (['cpu', '--only', 'nothing-like-it'], 'no row of cpu matches nothing-like-it'),
    (['cpu', '--threads', '0'], 'must be positive'),
    (['all'], 'invalid choice'),
])
def test_wrong_options_are_named(options, message, monkeypatch, capsys):
    with pytest.raises(SystemExit) as exit_:
        call('performance_tables', *options, monkeypatch=monkeypatch)
    assert message in f'{exit_.value.code} {capsys.readouterr().err}'


# ---------------------------------------------------------------- the runs
@pytest.mark.skipif(sys.platform != 'linux', reason='memory on the CPU is read from /proc')
def test_a_row_from_end_to_end_and_again(tmp_path, monkeypatch, capsys):
    options = ['check', '--only', 'inference', '--threads', 1, '--work-dir', tmp_path]
    call('performance_tables', *options, monkeypatch=monkeypatch)
    assert 'had been measured' not in capsys.readouterr().out
    file, = tmp_path.glob('*.json')
    result, written = json.loads(file.read_text()), file.stat().st_mtime_ns
    assert result['ratio']['median'] > 0 and set(result['memory']) == {'ours', 'plain'}
    page = (tmp_path / 'tables.md').read_text()
    assert f'{result["device"]}, 1 threads, torch {torch.__version__}, {result["date"]}.' in page
    speed, work = (line for line in page.splitlines() if line.startswith('| xxs, 4x64x64, inference'))
    assert f'{result["ratio"]["median"]:.2f} (' in speed and 'goal 1' in speed and ' MiB |' in speed
    assert f'{result["flops"] / 1e9:.3g}' in work
    assert '- Check, xxs, 4x64x64, batch 2, training: not run yet' in page
    assert re.search(r'^python tools/analysis_tools/benchmark.py --arch xxs .* --device cpu --threads 1$', page, re.M)

    call('performance_tables', *options, monkeypatch=monkeypatch)
    assert 'had been measured' in capsys.readouterr().out
    assert file.stat().st_mtime_ns == written and (tmp_path / 'tables.md').read_text() == page


def test_a_row_that_fails_is_named(tmp_path, monkeypatch, capsys):
    with pytest.raises(SystemExit, match='without figures: check-xxs-4x64x64-batch-2-training'):
        call('performance_tables', 'check', '--only', 'training', '--device', 'nowhere', '--work-dir', tmp_path,
             monkeypatch=monkeypatch)
    reason, = (line for line in capsys.readouterr().out.splitlines() if 'failed: ' in line)
    assert 'nowhere' in reason
    assert f'training: {reason.partition("failed: ")[2]}\n' in (tmp_path / 'tables.md').read_text()


# ---------------------------------------------------------------- a process of its own for each
SCRIPT = """
import json, os, signal, sys, time
*words, _, path = sys.argv[1:]
with open(path + '.log', 'a') as log:
    log.write(f'{os.getpid()}\\n')
if words[0] == 'write':
    open(path, 'w').write(json.dumps(dict(command=' '.join(sys.argv[1:]), value=words[1])))
elif words[0] == 'sleep':
    if os.fork():
        os.wait()
    open(path + '.log', 'a').write(f'{os.getpid()}\\n')
    time.sleep(300)
elif words[0] == 'kill':
    os.kill(os.getpid(), signal.SIGKILL)
else:
    sys.exit('a warning\\nscript.py: ' + words[1])
"""


@pytest.fixture
def job(tmp_path):
    script, path = tmp_path / 'script.py', tmp_path / 'new' / 'out.json'
    script.write_text(SCRIPT)

    def run(*words, **options):
        outcome = run_once(script, words, path, **options)
        log = Path(f'{path}.log')
        return outcome, len(log.read_text().splitlines())

    run.path = path
    return run


def test_what_was_measured_is_found_again(job):
    first, runs = job('write', '1')
    assert first.result['value'] == '1' and first.is_new and runs == 1
    again, runs = job('write', '1')
    assert again.result == first.result and not again.is_new and runs == 1
    assert find(['write', '1'], job.path) == again
    assert job('write', '1', overwrite=True)[1] == 2
    other, runs = job('write', '2')
    assert other.result['value'] == '2' and runs == 3, 'a file of other arguments must not be taken for these'
    job.path.write_text(job.path.read_text()[:10])
    assert job('write', '2')[1] == 4, 'nor one that is half written'


def test_an_error_is_one_line_and_tried_again(job):
    outcome, _ = job('error', 'no such\n  thing')
    assert (outcome.result, outcome.failed) == ({}, 'no such thing') and not job.path.exists()
    assert job('error', 'no such\n  thing')[1] == 2
    assert job('write')[0].failed == 'IndexError: list index out of range'


@pytest.mark.parametrize('words', [('kill', ), ('error', 'CUDA out of memory. Tried to allocate 2 GiB'),
                                   ('error', "DefaultCPUAllocator: can't allocate memory")])
def test_too_little_memory_is_a_result(job, words):
    assert job(*words)[0].failed == 'out of memory'
    again, runs = job(*words)
    assert again.failed == 'out of memory' and not again.is_new and runs == 1


def test_too_little_time_is_a_result_until_there_is_more(job):
    outcome, runs = job('sleep', limit=3)
    assert outcome.failed == 'more than 3 s' and runs == 2
    for pid in map(int, Path(f'{job.path}.log').read_text().split()):
        assert _is_gone(pid), 'the process and what it started have to end'
    assert job('sleep', limit=2) == (find(['sleep'], job.path, 2), 2)
    assert find(['sleep'], job.path, 4) is None


def _is_gone(pid):
    for _ in range(100):
        try:
            if Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] == 'Z':
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


# ---------------------------------------------------------------- the figures
def test_bytes_of_operators():
    model = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(128, 10))
    conv, norm, linear = count(model, torch.rand(2, 3, 8, 8)).operators
    assert (conv.read, conv.written) == (2 * 3 * 64 + 3 * 8 * 9 + 8, 2 * 8 * 16)
    assert (norm.read, norm.written) == (2 * 8 * 16 + 4 * 8, 2 * 8 * 16)
    assert (linear.read, linear.written) == (2 * 128 + 128 * 10 + 10, 2 * 10)
    assert bytes_of(linear, 2, training=False) == 2 * (linear.read + 20)
    assert bytes_of(linear, 4, training=True) == 4 * (3 * linear.read + 2 * 20)
    assert flops_of(linear, training=True) == 3 * flops_of(linear, training=False) == 6 * 2 * 128 * 10


def test_roofline_takes_the_longer_time_of_each_operator():
    operators = [Operator(flops=50, read=8, written=2), Operator(flops=1, read=30, written=20)]
    # The first takes 100 operations over 10 a second, the second 200 bytes over 40 a second.
    assert least_seconds(operators, 4, False, flops_per_second=10., bytes_per_second=40.) == pytest.approx(10 + 5)


def test_tables_of_several_runs_say_so():
    rows = [Row('Videos', 'one', '--arch small'), Row('Videos', 'two', '--arch base', Goal(2, 0.5, 0.75)),
            Row('Images', 'three', '')]
    result = dict(device='A CPU', threads=2, torch='2.11', date='2026-01-02', input=[2, 3, 8, 8], flops=4e9, bytes=1e9,
                  throughput=dict(ours=4., plain=1.), seconds=dict(ours=0.5, plain=2.), share_of_peak=0.5,
                  peak_flops_per_second=16e9, share_of_roofline=0.625, command='--arch small --json a.json',
                  ratio=dict(median=4., low=3.9, high=4.1), memory=dict(ours=2**20, plain=2**22))
    results = {rows[0].name: result, rows[1].name: {**result, 'date': '2026-01-03'}}
    page = tables(rows, results, {rows[2].name: 'out of memory'}).splitlines()
    assert page[0] == 'A CPU, 2 threads, torch 2.11, 2026-01-02.' and page[2] == page[0].replace('02.', '03.')
    assert '| one | 500 ms | 2 s (plain) | 4.00 (3.90 to 4.10) | 1 MiB | 0.25 | 50% of 16 GFLOP/s | 4 |' in page
    assert ('| two | 500 ms | 2 s (plain) | 4.00 (3.90 to 4.10); goal 2 | 1 MiB | 0.25; goal 0.5 | '
            '50% of 16 GFLOP/s; goal 75% | 4 |') in page
    assert '| one | 2 | 500 | 4 | 62% |' in page
    assert page[-1] == '- Images, three: out of memory'
