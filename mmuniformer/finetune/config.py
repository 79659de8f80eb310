"""The config file that a run leaves: it inherits from the zoo, and all that is this run's own stands in it."""
import textwrap
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .findings import FinetuneError
from .task import Plan

Sections = Sequence[tuple[str, dict[str, Any]]]
COMMAND_LINE = 'Given on the command line.'
WIDTH = 120


def common_sections(plan: Plan, metric: str, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """The parts of the config that are the same for all tasks: optimiser, schedule, hooks."""
    amp = dict(type='AmpOptimWrapper', dtype=plan.amp, loss_scale='dynamic') if plan.amp else dict(type='OptimWrapper')
    optim_wrapper = dict(
        _delete_=True, **amp, optimizer=dict(type='AdamW', lr=plan.lr, betas=(0.9, 0.999), weight_decay=0.05),
        paramwise_cfg=dict(flat_decay_mult=0.), clip_grad=dict(max_norm=20, norm_type=2))
    heads = ''
    if plan.head_lr_mult != 1:
        optim_wrapper['paramwise_cfg']['custom_keys'] = dict(head=dict(lr_mult=plan.head_lr_mult))
        heads = f' The new head learns {plan.head_lr_mult:g} times as fast.'
    warm_up = min(0.1 * plan.epochs, 5)
    schedule = []
    if int(warm_up * plan.steps):
        schedule.append(dict(type='LinearLR', start_factor=0.01, begin=0, end=warm_up, by_epoch=True,
                             convert_to_iter_based=True))
    lowest = float(f'{plan.lr / 100:.3g}')
    schedule.append(dict(type='CosineAnnealingLR', eta_min=lowest, begin=warm_up if schedule else 0, end=plan.epochs,
                         by_epoch=True, convert_to_iter_based=True))
    return [
        (f'The learning rate is for batches of {plan.batch_size} in all; with more devices, or another batch_size '
         'above, it is scaled in proportion. No weight decay on the biases and norms of the backbone.' + heads,
         dict(optim_wrapper=optim_wrapper, auto_scale_lr=dict(enable=True, base_batch_size=plan.batch_size))),
        ('Linear warm-up, then cosine.',
         dict(param_scheduler=schedule,
              train_cfg=dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=plan.epochs, val_interval=1))),
        ('Checkpoints that a kill or a full disk can not spoil: the last two and the best. A step whose loss or '
         'gradients are not finite is undone.',
         dict(default_hooks=dict(
             logger=dict(interval=max(1, min(50, plan.steps // 5))),
             checkpoint=dict(_delete_=True, type='mmuniformer.SafeCheckpointHook', interval=1, max_keep_ckpts=2,
                             save_best=metric, rule='greater')),
              custom_hooks=[dict(type='mmuniformer.NonFiniteHook', action='rollback', max_in_row=5)],
              randomness=dict(seed=seed))),
    ]


def loaders(plan: Plan, train: dict, val: dict, val_batch: int | None = None, **train_options) -> dict[str, Any]:
    """The three data loaders; the training data's unreadable files are replaced by others."""
    common = dict(num_workers=plan.workers, persistent_workers=plan.workers > 0)
    train_dataloader = dict(
        _delete_=True, batch_size=plan.batch_size, **common, sampler=dict(type='DefaultSampler', shuffle=True),
        **train_options, dataset=dict(type='mmuniformer.ReplaceUnreadable', dataset=train))
    val_dataloader = dict(_delete_=True, batch_size=val_batch or plan.batch_size, **common, drop_last=False,
                          sampler=dict(type='DefaultSampler', shuffle=False), dataset=val)
    return dict(train_dataloader=train_dataloader, val_dataloader=val_dataloader, test_dataloader=val_dataloader)


def write_config(path: Path, base: str, title: str, sections: Sections, overrides: Mapping[str, Any]) -> Config:
    """Write the file and read it back.

    Args:
        path: Where to.
        base: The config it inherits from.
        title: Comment on top.
        sections: Comments and variables, in order; a variable stands in one of them.
        overrides: Changes of the variables, by ``key.subkey``; numbers are places in lists.

    Raises:
        FinetuneError: An override does not fit, or can't be merged into the base.
    """
    sections = [(comment, dict(variables)) for comment, variables in sections]
    for key, value in overrides.items():
        _override(sections, key, value)
    parts = [_comment(title), f'_base_ = {base!r}\n']
    writer = _Writer()
    for comment, variables in sections:
        parts.append('\n' + _comment(comment) + writer.variables(variables))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(''.join(parts), encoding='utf-8')
    try:
        return Config.fromfile(path)
    except Exception as error:
        if not overrides:
            raise
        path.unlink()
        reason = str(error).strip().splitlines()[-1]
        raise FinetuneError(f'--cfg-options does not fit the config ({reason}).') from error


def _override(sections: list[tuple[str, dict]], key: str, value: Any) -> None:
    if isinstance(value, Mapping) and not value.get('_delete_'):  # a mapping is merged, as MMEngine does
        for inner, each in value.items():
            _override(sections, f'{key}.{inner}', each)
        return
    first, *rest = key.split('.')
    owner = next((variables for _, variables in sections if first in variables), None)
    if owner is None:
        if not sections or sections[-1][0] != COMMAND_LINE:
            sections.append((COMMAND_LINE, {}))
        owner = sections[-1][1]
    *path, last = [first, *rest]
    place = owner
    for part in path:
        if isinstance(place, list):
            place = place[_index(place, part, key)]
        elif isinstance(place.get(part), (dict, list)):
            place = place[part]
        else:
            place[part] = {}
            place = place[part]
    place[_index(place, last, key) if isinstance(place, list) else last] = value


def _index(place: list, part: str, key: str) -> int:
    if not part.isdigit() or int(part) >= len(place):
        raise FinetuneError(f'--cfg-options {key}: {part} is no place in a list of {len(place)}.')
    return int(part)


def _comment(text: str) -> str:
    return ''.join(f'# {line}\n' for line in textwrap.wrap(text, 115))


class _Writer:
    """Writes variables as Python. A value that stands in a variable before is written as that variable's name."""

    def __init__(self):
        self.names = {}

    def variables(self, variables: Mapping[str, Any]) -> str:
        """One statement each."""
        lines = []
        for name, value in variables.items():
            lines.append(self._statement(f'{name} = ', value, 0) + '\n')
            if isinstance(value, (dict, list)) and value:
                self.names.setdefault(id(value), name)
        return ''.join(lines)

    def _statement(self, start: str, value: Any, indent: int, end: str = '') -> str:
        """``start``, a value and ``end``, on one line if they fit."""
        line = f'{" " * indent}{start}{self._flat(value)}{end}'
        if len(line) <= WIDTH or not isinstance(value, (dict, list, tuple)) or id(value) in self.names:
            return line
        opening, closing, items = self._parts(value)
        inner = [self._statement(key, item, indent + 4, ',') for key, item in items]
        inner[-1] = inner[-1][:-1]
        return f'{" " * indent}{start}{opening}\n' + '\n'.join(inner) + f'{closing}{end}'

    def _flat(self, value: Any) -> str:
        if id(value) in self.names:
            return self.names[id(value)]
        if not isinstance(value, (dict, list, tuple)):
            return repr(value)
        opening, closing, items = self._parts(value)
        text = ', '.join(key + self._flat(item) for key, item in items)
        return opening + text + (', ' if isinstance(value, tuple) and len(value) == 1 else '') + closing

    def _parts(self, value: dict | list | tuple) -> tuple[str, str, list[tuple[str, Any]]]:
        if isinstance(value, (list, tuple)):
            return *('[]' if isinstance(value, list) else '()'), [('', item) for item in value]
        if all(isinstance(key, str) and key.isidentifier() and not iskeyword(key) for key in value):
            return 'dict(', ')', [(f'{key}=', item) for key, item in value.items()]
        return '{', '}', [(f'{key!r}: ', item) for key, item in value.items()]
