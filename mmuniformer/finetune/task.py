"""What a task must say about itself."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmuniformer.models.backbones.arch import Arch

from .findings import Findings
from .options import Options
from .samples import Sample


@dataclass(frozen=True)
class Plan:
    """What was decided for the config.

    Attributes:
        batch_size: Samples of a training batch on one device.
        lr: Learning rate for it.
        amp: ``'bfloat16'`` or ``'float16'`` for mixed precision, or None for float32.
        workers: Processes that load training data.
        epochs: Passes over the training data.
        steps: Iterations of one epoch.
        init_cfg: The backbone's ``init_cfg``.
        head_lr_mult: The task's factor for a new head on loaded weights; 1 from scratch.
    """
    batch_size: int
    lr: float
    amp: str | None
    workers: int
    epochs: int
    steps: int
    init_cfg: dict | None
    head_lr_mult: float = 1.


@dataclass
class Picture:
    """A picture of the report, already written.

    Attributes:
        file: Its name in the report's folder.
        text: What it shows.
    """
    file: str
    text: str


@dataclass
class Assessment:
    """What a task reports of the tested model.

    Attributes:
        numbers: Rows of the table of results: name, value.
        table: Rows of a table by class, its head first.
        pictures: In the order in which they are to stand.
    """
    numbers: list[tuple[str, str]]
    table: list[list[str]]
    pictures: list[Picture]


class Task(ABC):
    """One task: how its data are laid out, checked, written down, trained on and reported.

    Attributes:
        metric: Key of the number that counts among those of the evaluator; higher is better.
        loss: Key of the training loss in the Runner's log.
        zoo: Config of the zoo for each name of an arch; ``'small'`` serves for an arch given as a mapping.
        epochs: Default of ``--epochs``.
        max_batch: Largest batch of one device.
        rate: Learning rate and batch for fine-tuning, as in the zoo's recipe, and for training from scratch: that of
            the demo (``configs/demo``), whose network is a quarter as wide as the small one for which this is.
        head_lr_mult: How many times faster than loaded weights a new head learns: 1 where the zoo's recipe starts with
            a new head, too.
        amp: Number type of mixed precision on a GPU; see :class:`Plan`.
        dump: The evaluator that keeps predictions for the report.
        unit: What a sample is called.
    """
    metric: str
    loss = 'loss'
    zoo: dict[str, str]
    epochs: int
    max_batch: int
    rate: dict[str, tuple[float, int]]
    head_lr_mult = 1.
    amp = 'bfloat16'
    dump = 'DumpResults'
    unit = 'samples'

    def __init__(self, options: Options):
        self.options = options

    def backbone(self, plan: Plan) -> dict[str, Any]:
        """The backbone's size and weights, as a change of the zoo's config."""
        arch = self.options.arch
        return dict(arch=arch if isinstance(arch, str) else dict(_delete_=True, **arch), init_cfg=plan.init_cfg)

    @abstractmethod
    def read(self, data: Path, findings: Findings, is_val: bool = False) -> list[Sample]:
        """Find the samples in ``data`` and check each; what is bad goes into the findings and not into the list.

        Called for the training data first; of validation data that are given apart it checks that they fit those.

        Raises:
            FinetuneError: The layout is not the task's.
        """

    @abstractmethod
    def write(self, train: Sequence[Sample], val: Sequence[Sample], folder: Path) -> None:
        """Write the split as annotation files into ``folder``, from which :meth:`config` reads it, now or later."""

    @abstractmethod
    def config(self, plan: Plan, base: Config, folder: Path, size: Arch) -> list[tuple[str, dict[str, Any]]]:
        """The task's part of the config, in sections: a comment, and variables by name.

        Args:
            plan: What was decided.
            base: The config of the zoo that it inherits from.
            folder: The one that :meth:`write` wrote into.
            size: The size of the network.
        """

    @abstractmethod
    def assess(self, cfg: Config, values: dict, predictions: Sequence[dict], folder: Path) -> Assessment:
        """Draw and count what the report shows.

        Args:
            cfg: The config that was tested.
            values: What the evaluators returned.
            predictions: What :attr:`dump` kept.
            folder: Where pictures go.
        """

    @abstractmethod
    def usage(self, cfg: Config, config: str, checkpoint: str, folder: Path) -> str:
        """Python that predicts with the model, for the report."""
