"""Train a model of any OpenMMLab task from a config."""
import argparse
import os

from mmengine.config import Config

import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.apis.weights import check_runner
from mmuniformer.engine.launch import (
    Options,
    build_runner,
    check_checkpoint,
    merge_options,
    one_line_errors,
    read_config,
    work_dir,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go (work_dirs/CONFIG by default)')
    parser.add_argument('--resume', nargs='?', const='auto',
                        help='go on from this checkpoint; without a name, from the latest in the work dir')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    parser.add_argument('--no-validate', action='store_true', help="don't evaluate while training")
    parser.add_argument('--auto-scale-lr', action='store_true',
                        help='scale the learning rate with the total batch size (most configs here do already)')
    parser.add_argument('--seed', type=int, help="seed of all random numbers (default: the config's)")
    parser.add_argument('--diff-rank-seed', action='store_true', help='another seed for every process')
    parser.add_argument('--deterministic', action='store_true',
                        help='only deterministic algorithms, slower; an error where PyTorch has none')
    parser.add_argument('--cfg-options', nargs='+', action=Options, metavar='KEY=VALUE',
                        help='override the config: key.subkey=value, lists as key="[a,b]"')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none',
                        help='who started the processes')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by the launcher')
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Put the command line into the config."""
    cfg.launcher = args.launcher
    cfg.work_dir = work_dir(cfg, args.config, args.work_dir)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
        if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
            raise SystemExit(f'--amp replaces OptimWrapper by AmpOptimWrapper, but the config has {kind}.')
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise SystemExit('--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) in the config: the total '
                             'batch size that its learning rate is for.')
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    randomness = dict(cfg.get('randomness') or {})
    if args.seed is not None:
        randomness['seed'] = args.seed
    for name in ('diff_rank_seed', 'deterministic'):
        if getattr(args, name):
            randomness[name] = True
    cfg.randomness = randomness or dict(seed=None)
    merge_options(cfg, args.cfg_options)
    return cfg


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    named = args.resume and args.resume != 'auto'
    content = check_checkpoint(args.resume)[0] if named else None
    cfg = merge_args(cfg, args)
    with one_line_errors(cfg):
        runner = build_runner(cfg)
        if named:
            check_runner(runner, content, args.resume, args.config)
        del content  # the optimiser's state is large
        runner.train()


if __name__ == '__main__':
    main()
