"""Testing a config, with its predictions kept."""
import copy
from pathlib import Path

import mmengine
from mmengine.config import Config

from .launch import build_runner


def evaluate(cfg: Config, folder: Path, checkpoint: Path | None, dump: str = 'DumpResults') -> tuple[dict, list[dict]]:
    """Run the config's test loop.

    Args:
        cfg: What to test; left as it is.
        folder: Where the log and the predictions go.
        checkpoint: The weights; None tests the network as it is initialised, from seed 0.
        dump: The framework's metric that keeps the predictions. Defaults to ``'DumpResults'``.

    Returns:
        All values that the evaluators return, and the predictions in the order of the test data set.
    """
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(folder)
    cfg.load_from = str(checkpoint) if checkpoint else None
    cfg.resume = False
    cfg.log_level = 'WARNING'  # the training's log has told all about the machine and the config
    if not checkpoint:
        cfg.randomness = dict(seed=0)
    cfg.default_hooks.checkpoint.save_best = None
    file = folder / 'predictions.pkl'
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
    cfg.test_evaluator = [*evaluators, dict(type=dump, out_file_path=str(file))]
    values = build_runner(cfg).test()
    return values, mmengine.load(file)
