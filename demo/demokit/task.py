"""What a task must say about itself to be a demo."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from mmuniformer.engine.testing import evaluate
from mmuniformer.visualization import Cell

ROOT = Path(__file__).resolve().parents[2]


class Task(ABC):
    """One demo: a config, the data it trains on, and what its numbers are to be compared with.

    Attributes:
        name (str): As in ``make demo TASK=name``, and the folder in ``work_dirs/demo/``.
        config (str): The config's path from the repository's root. Its ``data_root`` names the folder of the generated
            data, its ``generator`` the arguments to generate them with.
        metric (str): Key of the number that counts among those that the config's evaluators return.
        floor (float): The least value of the metric with which the demo succeeds.
        others (tuple[str]): Keys of further numbers to print and report. Defaults to none.
        dump (str): The metric of the framework that keeps the predictions for :meth:`cells`. Defaults to
            ``'DumpResults'``.
        loss (str): Key of the training loss in the Runner's log. Defaults to ``'loss'``.
    """
    name: str
    config: str
    metric: str
    floor: float
    others: tuple[str, ...] = ()
    dump = 'DumpResults'
    loss = 'loss'

    @abstractmethod
    def generate(self, root: Path, **arguments) -> None:
        """Write the data set into ``root``, or return at once if it is there."""

    def baseline(self, cfg: Config, folder: Path) -> tuple[str, dict[str, float]]:
        """What needs no learning: its name, and the metrics by their keys. By default the untrained model's.

        Args:
            cfg (Config): The config that was tested.
            folder (Path): Where files of a further test may go.
        """
        print('testing the untrained model', flush=True)
        return 'untrained', evaluate(cfg, folder, None, self.dump)[0]

    def one_frame(self, cfg: Config) -> Config | None:
        """For videos: the config changed so that the test shows one frame of each clip over and over."""
        return None

    @abstractmethod
    def cells(self, cfg: Config, predictions: Sequence[dict]) -> list[Cell]:
        """Pictures of held-out samples with what was predicted and what is true.

        Args:
            cfg (Config): The config that was tested.
            predictions (Sequence[dict]): What the model returned, in the order of the test data set.
        """
