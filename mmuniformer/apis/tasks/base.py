"""What all tasks have in common: a framework's inferencer with the weights in it."""
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from mmengine.config import Config

TOP = 5  # classes that are named


class Task(ABC):
    """A model that is ready to predict.

    Args:
        cfg: The config.
        weights: Path of a checkpoint with the names of the framework.
        device: Such as ``'cpu'`` or ``'cuda:0'``.
        meta: ``classes`` and, where known, ``palette``.

    Attributes:
        name (str): What the JSON calls the task.
        inferencer: The framework's.
    """
    name: ClassVar[str]

    def __init__(self, cfg: Config, weights: str, device: str, meta: dict[str, list]):
        self.names = meta['classes']
        self.inferencer = self.build(cfg, weights, device, meta)

    @abstractmethod
    def build(self, cfg: Config, weights: str, device: str, meta: dict[str, list]) -> Any:
        """The framework's inferencer."""

    def label(self, label: int) -> dict[str, Any]:
        """A class in the JSON."""
        return dict(label=int(label), name=self.names[label] if label < len(self.names) else f'class {label}')

    def best(self, scores: Sequence[float] | np.ndarray) -> list[dict[str, Any]]:
        """The five classes of highest score, the highest first."""
        order = np.argsort(-np.asarray(scores), kind='stable')[:TOP]
        return [dict(**self.label(label), score=round(float(scores[label]), 4)) for label in order]


class FrameTask(Task):
    """A task whose model looks at one picture."""

    @abstractmethod
    def infer(self, image: np.ndarray) -> Any:
        """The framework's data sample of a picture ``(H, W, 3)``, uint8, BGR."""

    @abstractmethod
    def record(self, sample: Any) -> dict[str, Any]:
        """What the JSON says of a data sample."""

    @abstractmethod
    def draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        """The picture with a data sample drawn on it, both BGR."""

    def mask(self, sample: Any) -> np.ndarray | None:
        """A class for each pixel, ``(H, W)``, where the task has that."""
        return None
