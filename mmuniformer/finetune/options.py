"""What may be asked for."""
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .findings import FinetuneError

TASKS = ('video', 'image', 'detection', 'segmentation', 'pose')
COCO_TASKS = ('detection', 'pose')


@dataclass
class Options:
    """What to train on what. The defaults are those of ``tools/finetune.py``.

    Attributes:
        task: One of :data:`TASKS`.
        data: Folder or file of the data; see ``docs/finetune.md`` for each task's layout.
        val: Validation data in the same layout; None sets ``val_share`` of ``data`` aside.
        images: Folder of the images where ``data`` is a COCO json; None looks beside it.
        arch: Name of an arch, or a mapping as the backbones take it.
        pretrained: Weights to start from: a path, URL or ``hf://...``, or ``'none'``; None for the published ones.
        epochs: None for the task's default.
        out: Folder of all results; None for ``work_dirs/finetune/`` and the data's name.
        skip_bad: Whether to leave out what is seriously wrong in the data and go on.
        prepare: Whether to stop before the training.
        val_share: Share of the data set aside, over 0 and under 1.
        seed: Of the split and of the training.
        batch_size: None for what fits the device.
        workers: Processes that load training data; None for what fits the machine.
        size: Side of the input in pixels (pose: its width); None for the zoo's.
        frames: Frames of a clip (videos).
        cfg_options: Changes of the config, by ``key.subkey``.
    """
    task: str
    data: Path
    val: Path | None = None
    images: Path | None = None
    arch: str | Mapping[str, Any] = 'small'
    pretrained: str | None = None
    epochs: int | None = None
    out: Path | None = None
    skip_bad: bool = False
    prepare: bool = False
    val_share: float = 0.2
    seed: int = 0
    batch_size: int | None = None
    workers: int | None = None
    size: int | None = None
    frames: int = 16
    cfg_options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if self.task not in TASKS:
            raise FinetuneError(f'There is no task {self.task!r}: choose one of {", ".join(TASKS)}.')
        self.data = _existing(self.data, 'data')
        self.val = _existing(self.val, 'validation data')
        self.images = _existing(self.images, 'images')
        self.out = Path(self.out) if self.out else Path('work_dirs/finetune', self.data.stem)
        if self.out.exists() and not self.out.is_dir():
            raise FinetuneError(f'{self.out} is a file: give a folder as --out.')
        if self.images and self.task not in COCO_TASKS:
            raise FinetuneError(f'--images is for COCO json files (--task {" or ".join(COCO_TASKS)}), not for '
                                f'--task {self.task}.')
        for name, least in dict(epochs=1, batch_size=1, workers=0, size=32, frames=1, seed=0).items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise FinetuneError(f'{name.replace("_", " ")} must be at least {least}, got {value}.')
        if not 0 < self.val_share < 1:
            raise FinetuneError(f'The share set aside must be over 0 and under 1, got {self.val_share}.')

    def identity(self) -> dict[str, Any]:
        """What decides the training, as plain data: an interrupted run goes on only with the same."""
        own = asdict(self)
        for name in ('out', 'prepare'):
            del own[name]
        return {name: str(value) if isinstance(value, Path) else value for name, value in own.items()}


def _existing(path, what: str) -> Path | None:
    if path is None:
        return None
    path = Path(path).expanduser()
    if not path.exists():
        raise FinetuneError(f'No {what} at {path}: no such file or folder.')
    return path.resolve()
