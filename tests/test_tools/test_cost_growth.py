"""Cost as the input grows: a tiny grid from end to end, and the figure."""
import csv
import json
import sys

import numpy as np
import pytest
from matplotlib.pyplot import imread

from mmuniformer.visualization.growth import COLOURS, GrowthPoint, draw_growth

from .test_performance_tables import call, load


def test_commands_are_the_benchmarks():
    benchmark, tool = load('benchmark'), load('cost_growth')
    args = tool.parse_args(['--train', '--device', 'cuda', '--threads', '3', '--dtype', 'bfloat16'])
    points = [(axis.name, series, size, benchmark.parse_args(tool.arguments(args, text)))
              for axis, series, size, text in tool.grid(args)]
    assert len({point[:3] for point in points}) == len(points) == 4 + 5 * 3
    for axis, series, size, parsed in points:
        assert parsed.train and (parsed.dtype, parsed.device, parsed.threads) == ('bfloat16', 'cuda', 3)
        assert parsed.peer is None and not parsed.no_memory
        assert parsed.shape == ([3, size, 224, 224] if axis == 'frames' else [size])
        assert parsed.attention == (None if axis == 'frames' else series)


@pytest.mark.skipif(sys.platform != 'linux', reason='memory on the CPU is read from /proc')
def test_a_grid_from_end_to_end_and_again(tmp_path, monkeypatch, capsys):
    # Images of 16 pixels are too small for the network: a point that fails.
    options = ['--frames', 2, '--clip-side', 64, '--sides', 16, '--attention', 'window', '--threads', 1, '--repeats', 1,
               '--work-dir', tmp_path]
    call('cost_growth', *options, monkeypatch=monkeypatch)
    first = capsys.readouterr().out
    with open(tmp_path / 'inference.csv') as file:
        frames, sides = csv.DictReader(file)
    assert (frames['axis'], frames['series'], frames['size'], frames['failed']) == ('frames', 'joint', '2', '')
    assert float(frames['seconds']) > 0 and float(frames['bytes']) > 2**20 and float(frames['gflop']) > 0.1
    assert (sides['axis'], sides['series'], sides['size'], sides['seconds']) == ('sides', 'window', '16', '')
    assert sides['failed'] and f'failed: {sides["failed"]}' in first
    page = json.loads((tmp_path / 'inference.json').read_text())
    assert [point['size'] for point in page['points']] == [2, 16] and len(page['measured_on']) == 1
    for name in ('frames', 'sides'):
        assert imread(tmp_path / f'inference-{name}.png').ndim == 3

    point = tmp_path / 'points' / 'inference-frames-joint-2.json'
    written = point.stat().st_mtime_ns
    call('cost_growth', *options[:4], '--sides', *options[8:], monkeypatch=monkeypatch)
    assert point.stat().st_mtime_ns == written, 'a point that has figures is not measured again'


def test_figure_shows_every_curve_and_what_failed(tmp_path):
    points = [GrowthPoint(name, size, power * size**2 / 1e4, power * size * 2**20, 1.)
              for name, power in (('global', 1.), ('window', 0.5), ('hybrid', 0.45)) for size in (224, 448, 896)]
    draw_growth(points, tmp_path / 'whole.png', 'side', 'title', 2)
    failed = [GrowthPoint('hybrid', 1792, failed='out of memory')]
    draw_growth(points + failed, tmp_path / 'failed.png', 'side', 'title', 2)
    for name in ('whole', 'failed'):
        pixels = (imread(tmp_path / f'{name}.png')[..., :3] * 255).round().astype(int)
        for colour in COLOURS[:3]:
            rgb = [int(colour[i:i + 2], 16) for i in (1, 3, 5)]
            for half in np.array_split(pixels, 2, axis=1):
                assert (half == rgb).all(-1).sum() > 20, f'{colour} is missing'
    top = pixels[:int(len(pixels) * 0.2)]
    assert (top == [int(COLOURS[2][i:i + 2], 16) for i in (1, 3, 5)]).all(-1).any(), 'the failed point is not marked'


@pytest.mark.parametrize('options, message', [
    (['--frames', '--sides'], 'give --frames or --sides'),
    (['--frames', '-8'], 'must be positive'),
    (['--attention', 'joint'], 'invalid choice'),
])
def test_wrong_options_are_named(options, message, monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call('cost_growth', *options, monkeypatch=monkeypatch)
    assert message in capsys.readouterr().err
