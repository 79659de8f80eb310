"""Checkpoints that a kill or a full disk can't spoil."""
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from mmuniformer.registry import HOOKS

from .storage import PART, write_whole

#: What the checkpoint itself says about its neighbours.
BOOKKEEPING = ('last_ckpt', 'keep_ckpt_ids', 'best_ckpt', 'best_score')


class CheckpointWriteError(OSError):
    """The last checkpoint of a training couldn't be written."""


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's ``CheckpointHook`` whose files are whole or not there, so that a run can always be resumed.

    - A checkpoint and the file ``last_checkpoint`` are written beside their place and renamed, so a process that is
      killed in the middle leaves the ones before.
    - Old checkpoints (``max_keep_ckpts``, ``save_best``) are removed after the new one is written instead of before.
      The disk must hold one more.
    - Where writing fails (a full disk) training goes on without this checkpoint, and the log says how much room it
      needs; only a failure at the end of training is an error.

    For folders on this machine or mounted on it. The arguments are ``CheckpointHook``'s, but for ``backend_args`` and
    ``file_client_args``, which this sets.

    Raises:
        ValueError: For an ``out_dir`` on remote storage.

    Examples:
        >>> default_hooks = dict(checkpoint=dict(type='mmuniformer.SafeCheckpointHook', interval=1, max_keep_ckpts=2))
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs, backend_args=dict(backend='mmuniformer.whole'))
        if self.out_dir is not None and '://' in str(self.out_dir):
            raise ValueError(f'SafeCheckpointHook writes to folders on this machine, not to {self.out_dir}: take '
                             'CheckpointHook for remote storage, whose uploads are whole or not there by themselves')

    def before_train(self, runner: Runner) -> None:
        """Find the folder, and remove what a killed run left in it."""
        super().before_train(runner)
        if is_main_process():
            for folder in {self.out_dir, runner.work_dir}:
                for part in Path(folder).glob(f'*{PART}'):
                    runner.logger.info(f'Removing {part}, which a run that was stopped did not finish.')
                    part.unlink(missing_ok=True)

    def _save_checkpoint(self, runner: Runner) -> None:
        last = self.is_last_train_epoch(runner) if self.by_epoch else self.is_last_train_iter(runner)
        with self._survived(runner, last):
            super()._save_checkpoint(runner)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._survived(runner, last=False):
            super()._save_best_checkpoint(runner, metrics)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """As MMEngine's in what is kept, but in this order: write, point to it, remove the old."""
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                old = Path(self.out_dir, self.filename_tmpl.format(self.keep_ckpt_ids.popleft()))
                if is_main_process() and old.exists():
                    self.file_backend.remove(str(old))  # held until all is written
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = os.path.join(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(self.out_dir, name, None, save_optimizer=self.save_optimizer,
                               save_param_scheduler=self.save_param_scheduler, meta=meta, by_epoch=self.by_epoch,
                               backend_args=self.backend_args, **self.args)
        if is_main_process():
            write_whole(self.last_ckpt.encode(), os.path.join(runner.work_dir, 'last_checkpoint'))

    @contextmanager
    def _survived(self, runner: Runner, last: bool) -> Iterator[None]:
        """Undo the bookkeeping where writing fails, and remove old files where it succeeds."""
        info = runner.message_hub.runtime_info
        keys = [key for key in info if key.startswith(BOOKKEEPING)]
        before = {key: info[key] for key in keys}
        mine = {name: _copied(getattr(self, name)) for name in
                ('last_ckpt', 'keep_ckpt_ids', 'best_ckpt_path', 'best_ckpt_path_dict') if hasattr(self, name)}
        self.file_backend.hold_removals()
        try:
            yield
        except OSError as error:
            self.file_backend.release_removals(do=False)
            for key in [key for key in info if key.startswith(BOOKKEEPING)]:
                del info[key]
            info.update(before)
            for name, value in mine.items():
                setattr(self, name, value)
            kept = f'{self.last_ckpt} is the latest' if self.last_ckpt else 'there is none yet'
            text = (f'Could not write a checkpoint to {self.out_dir} ({error.strerror or error}); '
                    f'{shutil.disk_usage(self.out_dir).free / 2**20:.0f} MiB are free. {kept[0].upper()}{kept[1:]}.')
            if last:
                raise CheckpointWriteError(f'{text} Make room and go on with --resume.') from error
            runner.logger.error(f'{text} Training goes on without it: make room before the next one.')
        except BaseException:
            self.file_backend.release_removals(do=False)
            raise
        else:
            self.file_backend.release_removals(do=True)


def _copied(value):
    return value.copy() if hasattr(value, 'copy') else value
