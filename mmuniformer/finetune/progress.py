"""A progress bar over a whole training."""
import logging
import math

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmuniformer.progress import Bar


class ProgressHook(Hook):
    """Draws how far the training is, with the loss, and prints the metric of each epoch.

    Args:
        metric: Key of the metric.
    """
    priority = 'LOWEST'

    def __init__(self, metric: str):
        self.metric = metric
        self.bar = None

    def before_train(self, runner: Runner) -> None:
        """Start where a resumed run starts."""
        self.bar = Bar(runner.max_iters, 'training', done=runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Move on."""
        loss = runner.message_hub.log_scalars.get('train/loss')
        loss = loss.current() if loss is not None else math.nan
        if is_main_process():
            self.bar.show(runner.iter + 1, f'epoch {runner.epoch + 1}/{runner.max_epochs}, loss {loss:.3f}')

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        """Print the metric."""
        if is_main_process() and self.metric in (metrics or {}):
            if self.bar is not None:
                self.bar.end_line()
            print(f'epoch {runner.epoch}: {self.metric} {metrics[self.metric]:.4f} on the validation data', flush=True)


def quieten(runner: Runner) -> None:
    """Let the Runner log to its file, and to the terminal only warnings: the bar is there."""
    runner.logger.setLevel(logging.INFO)
    for handler in runner.logger.handlers:
        handler.setLevel(logging.INFO if isinstance(handler, logging.FileHandler) else logging.WARNING)
