"""Testing the best checkpoint, and keeping its predictions."""
import copy
from pathlib import Path

import mmengine
from mmengine.config import Config

from mmuniformer.engine.launch import build_runner


def test_model(cfg: Config, checkpoint: Path, folder: Path, dump: str) -> tuple[dict, list[dict]]:
    """Run the config's test loop.

    Args:
        cfg: What to test; left as it is.
        checkpoint: The weights.
        folder: Where the log and the predictions go.
        dump: The evaluator that keeps the predictions.

    Returns:
        All values that the evaluators return, and the predictions in the order of the data set.
    """
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(folder)
    cfg.load_from = str(checkpoint)
    cfg.resume = False
    cfg.log_level = 'WARNING'
    file = folder / 'predictions.pkl'
    evaluators = cfg.test_evaluator if isinstance(cfg.test_evaluator, (list, tuple)) else [cfg.test_evaluator]
    cfg.test_evaluator = [*evaluators, dict(type=dump, out_file_path=str(file))]
    cfg.default_hooks.checkpoint.save_best = None
    values = build_runner(cfg).test()
    return values, mmengine.load(file)
