"""Test a model of any OpenMMLab task from a config and a checkpoint."""
import argparse
import os

from mmengine.config import Config

import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.apis.weights import check_runner
from mmuniformer.engine.launch import (
    Options,
    augment_test,
    build_runner,
    check_checkpoint,
    draw_predictions,
    merge_options,
    one_line_errors,
    read_config,
    work_dir,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint: file or URL')
    parser.add_argument('--work-dir', help='where logs and metrics go (work_dirs/CONFIG by default)')
    parser.add_argument('--dump', help='write the predictions to this .pkl file')
    parser.add_argument('--show-dir', help='write the inputs with the predictions drawn onto them here')
    parser.add_argument('--interval', type=int, default=1, help='draw every n-th input')
    parser.add_argument('--tta', action='store_true',
                        help="average over the config's augmentations (tta_pipeline), such as scales and flips")
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
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.show_dir:
        draw_predictions(cfg, args.show_dir, args.interval)
    if args.dump:
        if not args.dump.endswith(('.pkl', '.pickle')):
            raise SystemExit(f'--dump writes a pickle: name a .pkl file, not {args.dump}')
        evaluator = cfg.test_evaluator
        cfg.test_evaluator = [*(evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]),
                              dict(type='DumpResults', out_file_path=args.dump)]
    merge_options(cfg, args.cfg_options)
    if args.tta:
        augment_test(cfg)
    return cfg


def main() -> None:
    args = parse_args()
    cfg = read_config(args.config)
    content, _ = check_checkpoint(args.checkpoint)
    cfg = merge_args(cfg, args)
    with one_line_errors(cfg):
        runner = build_runner(cfg)
        check_runner(runner, content, args.checkpoint, args.config)
        del content  # the optimiser's state is large
        runner.test()


if __name__ == '__main__':
    main()
