"""Images whose classes are ten shapes."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config

from mmuniformer.datasets.generated.shapes import NAMES, generate_shapes
from mmuniformer.visualization import Cell, strip

from .task import Task

PICTURES = 6  # in a row of the contact sheet


class Classification(Task):
    """A UniFormer learns to tell shapes."""
    name = 'classification'
    config = 'configs/demo/uniformer-demo_classification.py'
    metric = 'accuracy/top1'
    floor = 90.

    def generate(self, root: Path, **arguments) -> None:
        generate_shapes(root, **arguments)

    def baseline(self, cfg: Config, folder: Path) -> tuple[str, dict[str, float]]:
        return 'chance', {self.metric: 100 / len(NAMES)}

    def cells(self, cfg: Config, predictions: Sequence[dict]) -> list[Cell]:
        """Six images of each shape, and up to six that were taken for another one."""
        true = [int(prediction['gt_label']) for prediction in predictions]
        predicted = [int(prediction['pred_label']) for prediction in predictions]
        paths = [prediction['img_path'] for prediction in predictions]
        cells = []
        for label, name in enumerate(NAMES):
            mine = [i for i in range(len(true)) if true[i] == label]
            right = sum(predicted[i] == label for i in mine)
            cells.append(Cell(_pictures([paths[i] for i in mine]), f'{name}: {right} of {len(mine)} recognised',
                              right == len(mine)))
        wrong = [i for i in range(len(true)) if predicted[i] != true[i]][:PICTURES]
        if wrong:
            taken = ', '.join(f'{NAMES[true[i]]} as {NAMES[predicted[i]]}' for i in wrong[:3])
            cells.append(Cell(_pictures([paths[i] for i in wrong]), f'taken for another: {taken}', False))
        return cells


def _pictures(paths: Sequence[str], side: int = 96) -> np.ndarray:
    """The first images side by side, grey where there are too few."""
    pictures = np.full((PICTURES, side, side, 3), 230, np.uint8)
    for picture, path in zip(pictures, paths):
        image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
        picture[:] = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    return strip(pictures)
