"""Small data on the spot, and a network small enough to train in seconds."""
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmuniformer.datasets.generated.drawing import SHAPES
from mmuniformer.datasets.generated.shapes import draw_shape
from mmuniformer.engine.testing import evaluate
from mmuniformer.finetune import Options, finetune

ARCH = dict(depths=[1, 1, 1, 1], embed_dims=[8, 16, 24, 32], head_dim=8, mlp_ratio=2)
#: Learns something in minutes.
LEARNER = dict(depths=[1, 1, 2, 1], embed_dims=[32, 64, 96, 128], head_dim=32, mlp_ratio=3)


def run(task: str, data: Path, out: Path, **options) -> Path:
    """Fine-tune the small network from random weights; two epochs, in this process, unless told otherwise."""
    small = dict(arch=ARCH, pretrained='none', epochs=2, workers=0, size=32)
    return finetune(Options(task, data, out=out, **{**small, **options}))


def reported(report: Path, metric: str) -> float:
    """A number of the report's first table."""
    return float(re.search(rf'^\| {re.escape(metric)} \| \**([\d.]+)\** \|', report.read_text(), re.MULTILINE)[1])


def untrained(report: Path, folder: Path) -> dict:
    """What the network of a run reaches on the validation data as it is initialised."""
    cfg = Config.fromfile(report.parent / 'config.py')
    cfg.launcher = 'none'
    return evaluate(cfg, folder, None)[0]


def draw_images(root: Path, classes: int = 3, each: int = 8, size: int = 40) -> Path:
    """``root/shape_K/N.png``."""
    assert classes <= len(SHAPES)
    for label in range(classes):
        (root / f'shape_{label}').mkdir(parents=True)
        for i in range(each):
            image = draw_shape(np.random.default_rng([label, i]), label, size)
            cv2.imwrite(str(root / f'shape_{label}' / f'{i}.png'), image)
    return root


def write_video(path: Path, seed: int, frames: int = 10) -> None:
    """A bright square that moves on a dark ground to the right (even seeds) or down."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 10, (64, 64))
    for frame in moving_square(seed, frames):
        writer.write(frame)
    writer.release()


def moving_square(seed: int, frames: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    place, step = rng.integers(5, 25), np.array([4, 0] if seed % 2 == 0 else [0, 4])
    pictures = []
    for t in range(frames):
        picture = np.full((64, 64, 3), rng.integers(20, 60), np.uint8)
        x, y = step * t + place
        picture[y:y + 12, x:x + 12] = 220
        pictures.append(picture)
    return pictures


def snippet(report: Path, replace: dict[str, str]) -> str:
    """The Python that the report gives for predicting, with other inputs."""
    code = re.search(r'```python\n(.*?)```', report.read_text(), re.DOTALL)[1]
    for old, new in replace.items():
        assert old in code
        code = code.replace(old, new)
    return code


def pictures(report: Path) -> dict[str, np.ndarray]:
    """The pictures that the report shows, by name."""
    names = re.findall(r'!\[.*?\]\((.*?)\)', report.read_text())
    return {name: cv2.imread(str(report.parent / name)) for name in names}


@pytest.fixture(scope='session')
def images(tmp_path_factory) -> Path:
    """24 images of three shapes."""
    return draw_images(tmp_path_factory.mktemp('data') / 'images')


@pytest.fixture(scope='session')
def videos(tmp_path_factory) -> Path:
    """16 videos of two motions."""
    folder = tmp_path_factory.mktemp('data') / 'videos'
    for seed in range(16):
        write_video(folder / ('sideways', 'downwards')[seed % 2] / f'{seed:02}.mp4', seed)
    return folder
