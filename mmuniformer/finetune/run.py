"""A run from its data to its report."""
import copy
import importlib
import json
import sys
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.hub import get_config

from mmuniformer.engine.hooks.storage import write_whole
from mmuniformer.engine.launch import build_runner, one_line_errors, read_config
from mmuniformer.engine.missing import missing_in_one_line
from mmuniformer.engine.testing import evaluate

from .config import common_sections, write_config
from .findings import Findings, FinetuneError, text_table
from .fit import fit_batch, precision, workers
from .options import Options
from .progress import ProgressHook, quieten
from .report import markdown_table
from .samples import split
from .task import Plan, Task
from .weights import find_weights, size_of, try_weights

STATE, CONFIG, REPORT, TRAIN = 'finetune.json', 'config.py', 'report.md', 'train'
#: Channels of the last stage that the tasks' rates for training from scratch are for.
WIDTH = 512


def finetune(options: Options) -> Path:
    """Check the data, split, write the config, train, test, report.

    A run that was interrupted goes on from its last checkpoint, with the split and the config that it left.

    Args:
        options: What to train on what.

    Returns:
        The report; the config if ``options.prepare`` is set.

    Raises:
        FinetuneError: The data, the weights or the options can't be used.
    """
    task = _task(options)
    out = options.out
    state = _state(out, options)
    if state is None:
        state = _prepare(task, options, out)
    else:
        print(f'Going on with {out / CONFIG}, written before.')
    config = out / CONFIG
    if options.prepare:
        print(f'Ready: train with `python tools/train.py {config}`, on 8 GPUs with '
              f'`bash tools/dist_train.sh {config} 8`, or give this command again without --prepare.')
        return config

    cfg = Config.fromfile(config)
    cfg.launcher = 'none'
    started = time.monotonic()
    with one_line_errors(cfg):
        best = _train(copy.deepcopy(cfg), task)
        print(f'testing {best}', flush=True)
        values, predictions = evaluate(cfg, out / 'test', best, task.dump)
    values.setdefault(task.metric, 0.)  # MMDetection's evaluator says nothing where nothing was found
    _report(task, options, cfg, out, best, values, predictions, state, time.monotonic() - started)
    print(f'{task.metric} {values[task.metric]:.4f} on the validation data. See {out / REPORT}')
    return out / REPORT


def _task(options: Options) -> Task:
    module = importlib.import_module(f'mmuniformer.finetune.tasks.{options.task}')
    return module.TASK(options)


def _state(out: Path, options: Options) -> dict | None:
    """What an earlier run with the same options left, or None where there was none."""
    file = out / STATE
    if not file.exists():
        if out.is_dir() and any(out.iterdir()):
            raise FinetuneError(f'{out} holds files of something else (no {STATE} in it): give another --out.')
        return None
    try:
        state = json.loads(file.read_text())
        old = dict(state['options'])
    except (ValueError, LookupError, TypeError) as error:
        raise FinetuneError(f"{file} can't be read as what a run has left: give another --out, or remove {out} to "
                            'start anew.') from error
    new = json.loads(json.dumps(options.identity()))
    changed = [name for name in new if new[name] != old.get(name)]
    if not (out / TRAIN / 'last_checkpoint').exists() and (changed or 'rows' not in state):
        return None  # nothing was trained yet
    if changed:
        raise FinetuneError(f'{out} holds a run with other options ({", ".join(changed)}): give another --out, or '
                            'remove that folder.')
    if not (out / CONFIG).exists():
        raise FinetuneError(f'{out / CONFIG} is gone: remove {out} to start anew.')
    return state


def _prepare(task: Task, options: Options, out: Path) -> dict:
    """All that comes before the training; leaves the split, the config and the state file."""
    size = size_of(options.arch, task.zoo, options.task)
    base = f'mmuniformer::{task.zoo[options.arch if isinstance(options.arch, str) else "small"]}'
    read_config(base)  # says at once if the framework is missing
    findings = Findings()
    try:
        train = task.read(options.data, findings)
        val = task.read(options.val, findings, is_val=True) if options.val else None
        if val is None and train:
            train, val = split(train, options.val_share, options.seed, findings)
        findings.facts['for training / validation'] = f'{len(train)} / {len(val or [])} {task.unit}'
    finally:
        if findings.rows():
            print(text_table(findings.rows()), flush=True)
    if findings.serious and not options.skip_bad:
        raise FinetuneError('The data have the faults marked BAD above: mend them, or give --skip-bad to leave those '
                            f'{task.unit} out.')
    for name, samples in dict(training=train, validation=val).items():
        if not samples:
            raise FinetuneError(f'No {task.unit} for {name} are left.')

    init_cfg = find_weights(options.task, options.arch, options.pretrained)
    # From here on the folder is known as ours, whatever ends this run.
    write_whole(json.dumps(dict(options=options.identity())).encode(), out / STATE)
    task.write(train, val, out / 'data')
    title = f'{options.task.capitalize()}, data {options.data}. From tools/finetune.py, for tools/train.py.'

    # The release's light models lost to NaN in mixed precision.
    amp = None if size.keep_ratios else precision(task.amp)
    loaders = workers() if options.workers is None else options.workers

    def write(batch: int) -> Config:
        lr, reference = task.rate['scratch' if init_cfg is None else 'pretrained']
        if init_cfg is None:  # narrower networks learn faster (arXiv 2203.03466)
            lr *= WIDTH / size.embed_dims[3]
        # Adam's steps need the square root of the batch, not the batch itself (arXiv 2205.10287).
        plan = Plan(batch, float(f'{lr * (batch / reference) ** 0.5:.3g}'), amp, loaders, options.epochs or task.epochs,
                    -(-len(train) // batch), init_cfg, task.head_lr_mult if init_cfg else 1.)
        sections = task.config(plan, get_config(base), out / 'data', size)
        return write_config(out / CONFIG, base, title, [*sections, *common_sections(plan, task.metric, options.seed),
                                                  ('', dict(work_dir=str(out.resolve() / TRAIN)))],
                            options.cfg_options)

    # A short epoch needs steps, too.
    batch = options.batch_size or max(2, min(task.max_batch, len(train) // 8))
    cfg = write(batch)
    try_weights(cfg)
    if options.batch_size is None:
        with one_line_errors(Config(dict())):
            batch, why = fit_batch(cfg, batch)
        findings.facts['batch size'] = why
        print(f'batch size {why}', flush=True)
        cfg = write(batch)
    findings.facts['learning rate'] = f'{cfg.optim_wrapper.optimizer.lr:g}'
    state = dict(options=options.identity(), rows=findings.rows())
    write_whole(json.dumps(state, indent=1).encode(), out / STATE)
    print(f'wrote {out / CONFIG} and the split in {out / "data"}', flush=True)
    return state


def _train(cfg: Config, task: Task) -> Path:
    """Train to the end, from the last checkpoint if there is one; return the best."""
    cfg.resume = Path(cfg.work_dir, 'last_checkpoint').exists()
    cfg.log_level = 'WARNING'
    runner = build_runner(cfg)
    runner.register_hook(ProgressHook(task.metric))
    quieten(runner)
    runner.train()
    folder = Path(cfg.work_dir)
    # Not from the Runner's memory: a checkpoint is written before its own test, so a resumed one knows less.
    best = max(folder.glob('best_*.pth'), key=lambda file: file.stat().st_mtime, default=None)
    return best or folder / Path((folder / 'last_checkpoint').read_text().strip()).name


def _report(task: Task, options: Options, cfg: Config, out: Path, best: Path, values: dict, predictions: list[dict],
            state: dict, seconds: float) -> None:
    from mmuniformer.visualization import draw_curve
    found = task.assess(cfg, values, predictions, out)
    draw_curve(Path(cfg.work_dir), out / 'curve.png', task.loss, task.metric, {'best': values[task.metric]},
               f'{options.task}: {task.metric} {values[task.metric]:.4g} on the validation data')
    facts = [['', 'what', 'how many', 'which'], *state['rows']]
    parts = [
        f'# {options.task.capitalize()}: {options.data.name}\n',
        markdown_table([('result on the validation data', ''), (task.metric, f'**{values[task.metric]:.4f}**'),
                        *found.numbers, ('checkpoint', f'{TRAIN}/{best.name}'), ('config', CONFIG),
                        ('minutes of this run', f'{seconds / 60:.1f}')]),
        '\n## Learning curve\n\n![Training loss and metric over the epochs](curve.png)\n',
        *(f'## {picture.text}\n\n![{picture.text}]({picture.file})\n' for picture in found.pictures),
        f'## By class\n\n{markdown_table(found.table)}\n',
        f'## The data\n\n{markdown_table(facts)}\n\nThe split is in `data/`.\n',
        f'## Use the model\n\n{_usage(task, cfg, out, best)}',
    ]
    write_whole('\n'.join(parts).encode(), out / REPORT)


def _usage(task: Task, cfg: Config, out: Path, best: Path) -> str:
    config, checkpoint = out.resolve() / CONFIG, best.resolve()
    return f"""Predict on an image, a video or a folder of them:

```shell
python demo/predict.py {config} {checkpoint} INPUT
```

The same in Python, through the framework's inferencer:

```python
import mmuniformer
{task.usage(cfg, str(config), str(checkpoint), out.resolve() / 'data')}
```

Test it again on the validation data:

```shell
python tools/test.py {config} {checkpoint} --work-dir {out.resolve() / 'test'}
```

Train again after editing the config, on 8 GPUs for example (the learning rate is scaled):

```shell
bash tools/dist_train.sh {config} 8 --work-dir {out.resolve() / 'again'}
```
"""


def main(**arguments) -> None:
    """Run with these :class:`Options`, and leave with one line where something can't be used."""
    try:
        options = Options(**arguments)
        with missing_in_one_line(f'--task {options.task}'):
            finetune(options)
    except FinetuneError as error:
        raise SystemExit(f'error: {error}') from error
    except KeyboardInterrupt:
        sys.exit('\nStopped. The same command goes on from the last checkpoint.')
