"""Images whose classes are ten shapes."""
from collections.abc import Sequence

import cv2
import numpy as np
from mmengine.config import Config

from mmuniformer.datasets.generated.shapes import NAMES, generate_shapes

from .sheet import Cell
from .task import Task


class Classification(Task):
    """A UniFormer learns to tell shapes."""
    name = 'classification'
    config = 'configs/demo/uniformer-demo_classification.py'
    metric = 'accuracy/top1'
    floor = 90.

    def generate(self, root, **arguments) -> None:
        generate_shapes(root, **arguments)

    def baseline(self, cfg: Config) -> tuple[str, float]:
        return 'chance', 100 / len(NAMES)

    def cells(self, cfg: Config, predictions: Sequence[dict]) -> list[Cell]:
        """Two images of each shape and up to four more that were taken for another one."""
        true = [int(prediction['gt_label']) for prediction in predictions]
        predicted = [int(prediction['pred_label']) for prediction in predictions]
        chosen = [i for label in range(len(NAMES)) for i in [i for i in range(len(true)) if true[i] == label][:2]]
        chosen += [i for i in range(len(true)) if predicted[i] != true[i] and i not in chosen][:4]
        return [Cell(_picture(predictions[i]['img_path']), f'{NAMES[true[i]]}: {NAMES[predicted[i]]}',
                     true[i] == predicted[i]) for i in chosen]


def _picture(path: str, side: int = 160) -> np.ndarray:
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
