"""Time a UniFormer backbone against a peer: inference or a training step, with peak memory.

    python tools/analysis_tools/benchmark.py --arch small --shape 3 16 224 224 --peer mmaction-uniformer
    python tools/analysis_tools/benchmark.py --arch small --attention hybrid --shape 800 1280 --peer plain --train
    python tools/analysis_tools/benchmark.py --arch xxs --shape 3 16 160 160 --peer plain --deploy --json out.json
    python tools/analysis_tools/benchmark.py CONFIG --peer plain
    python tools/analysis_tools/benchmark.py --arch small --shape 3 16 224 224 --train --profile --no-memory

Both run in one process, in turn, on the same input with the same number of threads; figures are medians, and the ratio
is taken within each repeat. With `plain` and `mmaction-uniformer` the weights are the same, and so must be the maps.
Memory is of a process of its own for each: most bytes resident (CPU) or allocated (CUDA) over those after start-up. In
it freed blocks are given back at once, so that it is what the model uses, not what glibc keeps for later.
The share of the peak is of a large matrix product timed in the same repeats: one multiply-add is two operations, a
training step three forward passes. The roofline is the least time of the same operations, one layer after the other, at
this rate and at that of a large copy (mmuniformer/analysis/roofline.py). Of a config its backbone is timed.
"""
import argparse
import gc
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from textwrap import shorten

import torch
from mmengine.config import Config, DictAction
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope

import mmuniformer  # noqa: F401  (registers the backbones)
from mmuniformer.analysis import bare_model, count, default_shape
from mmuniformer.analysis.peers import PEERS, SAME_NETWORK, as_peer, largest_difference
from mmuniformer.analysis.roofline import bytes_of, flops_of, least_seconds
from mmuniformer.analysis.timing import (
    copy,
    inference,
    interleaved,
    matmul,
    operators_by_time,
    peak_resident,
    ratio,
    reset_peak_resident,
    training,
)
from mmuniformer.models.backbones.base import BaseUniFormer

#: Side of the matrix product that stands for the machine's peak.
PEAK_SIDE = {'cpu': 2048, 'cuda': 8192}
#: Bytes of the copy that stands for the rate at which it moves them; more than a cache holds.
COPY_BYTES = {'cpu': 2**28, 'cuda': 2**30}
SHOWN_OPERATORS = 16
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help='config file whose backbone is timed; without one, --arch')
    parser.add_argument('--arch', help='small, small_plus, base, large, xxs or xs')
    parser.add_argument('--attention', help='global, window or hybrid; for videos joint or divided')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, help='changes of the config')
    parser.add_argument('--shape', type=int, nargs='+',
                        help='SIDE, or HEIGHT WIDTH, or 3 HEIGHT WIDTH, or 3 FRAMES HEIGHT WIDTH. '
                             "Default: 224, or the config's")
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--peer', choices=PEERS, help='what to time it against; default: itself alone')
    parser.add_argument('--train', action='store_true', help='a training step instead of inference')
    parser.add_argument('--dtype', choices=['float32', 'bfloat16', 'float16'], default='float32',
                        help='below float32: autocast, for both')
    parser.add_argument('--deploy', action='store_true', help='fold the backbone first (inference)')
    parser.add_argument('--compile', action='store_true', help='torch.compile both')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help='threads on the CPU')
    parser.add_argument('--warmup', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=9)
    parser.add_argument('--no-memory', action='store_true', help='do not measure memory, which runs each once more')
    parser.add_argument('--profile', action='store_true', help='show which operators ours spends its time in')
    parser.add_argument('--json', type=Path, help='write everything that was measured to this file')
    parser.add_argument('--memory-of', help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if (args.config is None) == (args.arch is None):
        parser.error('give either a config file or --arch')
    if args.train and args.deploy:
        parser.error('a deployed backbone can not be trained: leave out --train or --deploy')
    if args.shape and (len(args.shape) > 4 or min(args.shape) < 1):
        parser.error('--shape takes one to four positive numbers')
    if args.repeats < 1 or args.batch_size < 1:
        parser.error('--repeats and --batch-size must be at least 1')
    return args


def build(args: argparse.Namespace) -> tuple[BaseUniFormer, tuple[int, ...]]:
    """The backbone, and the shape of a sample."""
    shape = tuple(args.shape or ())
    if 0 < len(shape) < 3:
        shape = (3, shape[0], shape[-1])
    if args.config:
        if not Path(args.config).is_file():
            raise FileNotFoundError(f'there is no config file {args.config}')
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options)
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        model = MODELS.build(cfg.model)
        found = [module for module in model.modules() if isinstance(module, BaseUniFormer)]
        if not found:
            raise ValueError(f'the model of {args.config} has no backbone of this package')
        return revert_sync_batchnorm(found[0]), shape or default_shape(cfg)
    shape = shape or (3, 224, 224)
    return bare_model(args.arch, shape, args.attention), shape


def prepare(args: argparse.Namespace, only: str | None = None) -> tuple[dict, torch.Tensor, BaseUniFormer]:
    """Models by name (``ours`` and the peer's, or ``only`` one of them), their input, the backbone as built."""
    torch.manual_seed(0)
    backbone, shape = build(args)
    backbone = backbone.to(args.device).train(args.train)
    x = torch.randn(args.batch_size, *shape, device=args.device)
    models = {}
    if args.peer and only != 'ours':
        models[args.peer] = as_peer(args.peer, backbone)
    if only in (None, 'ours'):
        models = {'ours': backbone.switch_to_deploy() if args.deploy else backbone, **models}
    if args.compile:
        models = {name: torch.compile(model) for name, model in models.items()}
    return models, x, backbone


def memory(args: argparse.Namespace) -> int:
    """Peak bytes of one model alone; run in a process of its own."""
    on_cuda = args.device.startswith('cuda')
    if on_cuda:
        models, x, _ = prepare(args, args.memory_of)
        run = (training if args.train else inference)(models[args.memory_of], x, getattr(torch, args.dtype))
        for _ in range(3):
            run()
        return torch.cuda.max_memory_allocated()
    if args.peer in ('mmaction-uniformer', 'mvit-s', 'video-swin-t'):
        import mmaction.models  # noqa: F401  (start-up, for both)
    elif args.peer == 'swin-t':
        import mmdet.models  # noqa: F401
    torch.randn(64, 64) @ torch.randn(64, 64)
    reset_peak_resident()
    before = peak_resident()
    models, x, backbone = prepare(args, args.memory_of)
    del backbone
    run = (training if args.train else inference)(models[args.memory_of], x, getattr(torch, args.dtype))
    for _ in range(3):
        run()
    return peak_resident() - before


def measure(args: argparse.Namespace) -> dict:
    """All that is asked for, as plain numbers; times in seconds, memory in bytes."""
    torch.set_num_threads(args.threads)
    dtype, kind = getattr(torch, args.dtype), args.device.split(':')[0]
    models, x, backbone = prepare(args)
    result = dict(
        command=' '.join(sys.argv[1:]), device=device_name(kind),
        date=datetime.now(timezone.utc).strftime('%Y-%m-%d'), torch=torch.__version__, threads=args.threads,
        input=list(x.shape), dtype=args.dtype, step='training' if args.train else 'inference')
    if args.peer in SAME_NETWORK and not args.train:
        outputs = [inference(model, x, dtype)() for model in models.values()]
        result['difference'] = largest_difference(*outputs)
        del outputs
        if not result['difference'] < TOLERANCE[dtype]:
            raise ValueError(f'the maps differ by {result["difference"]:.1e} of their largest value: the times would '
                             'compare different things')
    runs = {name: (training if args.train else inference)(model, x, dtype) for name, model in models.items()}
    product, product_flops = matmul(args.device, dtype, PEAK_SIDE.get(kind, 2048))
    moving, moved = copy(args.device, COPY_BYTES.get(kind, 2**28))
    seconds = interleaved({**runs, 'matmul': product, 'copy': moving}, args.warmup, args.repeats, kind)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    peak, rate = product_flops / medians['matmul'], moved / medians['copy']

    # Counted on a model that was not folded: the work is the network's, however it is done.
    operators = count(build(args)[0].eval(), x).operators
    flops = sum(flops_of(operator, args.train) for operator in operators)
    least = least_seconds(operators, dtype.itemsize, args.train, peak, rate)
    result.update(seconds=medians, all_seconds=seconds, throughput={n: len(x) / medians[n] for n in models},
                  peak_flops_per_second=peak, flops=flops, share_of_peak=flops / medians['ours'] / peak,
                  peak_bytes_per_second=rate,
                  bytes=sum(bytes_of(operator, dtype.itemsize, args.train) for operator in operators),
                  least_seconds=least, share_of_roofline=least / medians['ours'])
    if args.peer:
        result['ratio'] = asdict(ratio(seconds[args.peer], seconds['ours']))
    if args.profile:
        result['operators'] = [asdict(operator) for operator in operators_by_time(runs['ours'], kind)]
    if not args.no_memory:
        del models, runs, backbone, product, moving
        if kind == 'cuda':  # the processes that follow need it
            gc.collect()
            torch.cuda.empty_cache()
        result['memory'] = {name: memory_in_child(name) for name in ['ours', args.peer] if name}
    return result


def memory_in_child(name: str) -> int:
    """:func:`memory` of one model in a new process started with this one's arguments."""
    command = [sys.executable, __file__, *sys.argv[1:], '--memory-of', name]
    environment = {**os.environ, 'MALLOC_MMAP_THRESHOLD_': str(2**18)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ['it wrote nothing'])[-1]
        if done.returncode == -signal.SIGKILL:
            reason = 'out of memory: the system ended the process'
        raise RuntimeError(f'measuring the memory of {name} failed: {reason}')
    return int(done.stdout.strip().splitlines()[-1])


def device_name(kind: str) -> str:
    """The processor's or the accelerator's name."""
    if kind == 'cuda':
        return torch.cuda.get_device_name()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        return next(line.split(':')[1].strip() for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def report(result: dict) -> str:
    """The figures as a table."""
    names = list(result['throughput'])
    lines = [f'{result["step"]}, input {tuple(result["input"])}, {result["dtype"]}, {result["device"]}, '
             f'{result["threads"]} threads, torch {result["torch"]}',
             f'{"":20} {"median":>10} {"samples/s":>10}' + (f' {"peak memory":>14}' if 'memory' in result else '')]
    for name in names:
        line = f'{name:20} {result["seconds"][name]:8.4f} s {result["throughput"][name]:10.2f}'
        lines.append(line + (f' {result["memory"][name] / 2**20:10.0f} MiB' if 'memory' in result else ''))
    if 'ratio' in result:
        r = result['ratio']
        lines.append(f'{names[1]} takes {r["median"]:.2f} times as long (quartiles {r["low"]:.2f} to {r["high"]:.2f})')
        if 'memory' in result:
            share = result['memory']['ours'] / result['memory'][names[1]]
            lines.append(f'and ours takes {share:.2f} of its memory')
    if 'difference' in result:
        lines.append(f'largest difference of the maps: {result["difference"]:.1e} of the largest value')
    lines.append(f'ours: {result["flops"] / 1e9:.1f} GFLOP, {result["share_of_peak"]:.0%} of the '
                 f'{result["peak_flops_per_second"] / 1e9:.0f} GFLOP/s of a matrix product')
    lines.append(f'layer by layer at least {result["bytes"] / 1e6:.0f} MB, {result["flops"] / result["bytes"]:.0f} '
                 f'FLOP a byte, and {result["share_of_roofline"]:.0%} of the roofline where a copy moves '
                 f'{result["peak_bytes_per_second"] / 1e9:.1f} GB/s')
    for operator in result.get('operators', [])[:SHOWN_OPERATORS]:
        lines.append(f'{operator["share"]:6.1%} {operator["seconds"] * 1e3:9.2f} ms {operator["calls"]:6} calls  '
                     f'{shorten(operator["name"], 70)}')
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    torch.backends.cudnn.allow_tf32 = False  # PyTorch's default for convolutions, not for matrix products
    if args.memory_of:
        torch.set_num_threads(args.threads)
        print(memory(args))
        return
    result = measure(args)
    print(report(result))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    try:
        main()
    except (ValueError, FileNotFoundError, ImportError, RuntimeError) as error:
        sys.exit(f'benchmark.py: {error}')
