"""One demo from its data to its report."""
import copy
from pathlib import Path

from mmengine.config import Config

import mmuniformer  # noqa: F401  (registers the models, mends the dependencies)
from mmuniformer.engine.launch import LOADERS, build_runner, read_config
from mmuniformer.engine.testing import evaluate
from mmuniformer.visualization import draw_curve, draw_sheet

from .attempts import Attempts
from .report import Report
from .task import ROOT, Task


def run(task: Task, work_dir: str | None = None, data_root: str | None = None, cfg_options: dict | None = None,
        min_value: float | None = None, max_one_frame: float | None = None) -> list[str]:
    """Generate the data, train, test, draw, report.

    Args:
        task (Task): The demo.
        work_dir (str, optional): Where all results go. Defaults to ``work_dirs/demo/`` and the task's name.
        data_root (str, optional): Where the data go. Defaults to the config's.
        cfg_options (dict, optional): Changes of the config.
        min_value (float, optional): The least value of the metric that counts. Defaults to the task's.
        max_one_frame (float, optional): The highest value that counts with one repeated frame. Defaults to twice the
            baseline.

    Returns:
        list[str]: What is not as it should be, one sentence each; empty when all is well.
    """
    folder = Path(work_dir or f'work_dirs/demo/{task.name}')
    cfg = _config(task, data_root, cfg_options)
    attempts = Attempts(folder, cfg, folder / 'report.json')
    task.generate(Path(cfg.data_root), **cfg.generator)

    checkpoint = _train(cfg, folder)
    print(f'testing {checkpoint}', flush=True)
    values, predictions = evaluate(cfg, folder / 'test', checkpoint, task.dump)
    value = float(values[task.metric])
    baseline_name, baselines = task.baseline(cfg, folder / 'baseline')
    baseline = float(baselines[task.metric])
    lines = {'at the end': value, baseline_name: baseline}
    one_frame_cfg, one_frame_value = task.one_frame(copy.deepcopy(cfg)), None
    if one_frame_cfg is not None:
        print('testing it with one frame of each clip repeated', flush=True)
        one_frame_values, _ = evaluate(one_frame_cfg, folder / 'test_one_frame', checkpoint, task.dump)
        one_frame_value = float(one_frame_values[task.metric])
        lines['one frame repeated'] = one_frame_value

    title = f'{task.name}: {task.metric} {value:.3f} on held-out data'
    draw_curve(folder, folder / 'learning_curve.png', task.loss, task.metric, lines, title)
    comparison = ', '.join(f'{name} {number:.3f}' for name, number in list(lines.items())[1:])
    draw_sheet(task.cells(cfg, predictions), folder / 'contact_sheet.png', f'{title} ({comparison})')
    config = ROOT / task.config
    if config.is_relative_to(Path.cwd()):
        config = config.relative_to(Path.cwd())
    others = {name: dict(value=float(values[name]), baseline=float(baselines[name])) for name in task.others}
    Report(task.name, task.metric, value, baseline, others, one_frame_value, round(attempts.seconds(), 1), str(config),
           str(checkpoint)).write(folder / 'report.json')

    print(f'\n{title}, of {len(predictions)} samples')
    for name, number in list(lines.items())[1:]:
        print(f'{name:>24}: {number:.3f}')
    for name, pair in others.items():
        print(f'{name:>24}: {pair["value"]:.3f} ({baseline_name} {pair["baseline"]:.3f})')
    print(f'{"seconds":>24}: {attempts.seconds():.0f}')
    print(f'See learning_curve.png, contact_sheet.png and report.json in {folder}')
    return failures(task, value, baseline, one_frame_value, min_value, max_one_frame)


def _config(task: Task, data_root: str | None, cfg_options: dict | None) -> Config:
    cfg = read_config(str(ROOT / task.config))
    if data_root:
        for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
            if evaluator.get('ann_file'):
                evaluator.ann_file = str(Path(data_root) / Path(evaluator.ann_file).relative_to(cfg.data_root))
        cfg.data_root = data_root
        for loader in LOADERS:
            cfg[loader].dataset.data_root = data_root
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    return cfg


def _train(cfg: Config, folder: Path) -> Path:
    """Train to the end, from the last checkpoint if there is one; return the last checkpoint."""
    cfg = copy.deepcopy(cfg)
    cfg.work_dir = str(folder)
    cfg.resume = True
    build_runner(cfg).train()
    return folder / Path((folder / 'last_checkpoint').read_text()).name


def failures(task: Task, value: float, baseline: float, one_frame_value: float | None, min_value: float | None,
             max_one_frame: float | None) -> list[str]:
    """What is not as it should be, one sentence each; the arguments are those of :func:`run` and its results."""
    floor = task.floor if min_value is None else min_value
    ceiling = 2 * baseline if max_one_frame is None else max_one_frame
    sentences = []
    if not value >= floor:  # a value that is no number fails, too
        sentences.append(f'{task.name}: {task.metric} is {value:.3f}, but should be at least {floor:.3f}')
    if one_frame_value is not None and not one_frame_value <= ceiling:
        sentences.append(f'{task.name}: with one frame repeated {task.metric} is {one_frame_value:.3f}, but should be '
                        f'at most {ceiling:.3f}: single frames give the answer away')
    return sentences
