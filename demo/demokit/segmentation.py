"""Scenes of shapes of which every pixel is to be named."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.registry import METRICS
from mmengine.structures import PixelData

from mmuniformer.datasets.generated.masks import generate_masks
from mmuniformer.visualization import Cell, strip

from .task import Task

IMAGES = 16  # on the contact sheet
ENLARGED = 2
RIGHT = 0.7  # least mean IoU of an image that counts as understood


@METRICS.register_module()
class DumpClasses(DumpResults):
    """Keeps the true and the predicted class of every pixel, and leaves out the scores, which are many times as big."""

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        for sample in data_samples:
            self.results.append(dict(img_path=sample['img_path'], **{
                key: sample[key]['data'][0].to('cpu', torch.uint8).numpy() for key in ('gt_sem_seg', 'pred_sem_seg')}))


class Segmentation(Task):
    """A UniFormer names the pixels of six shapes and of the ground."""
    name = 'segmentation'
    config = 'configs/demo/uniformer-demo_segmentation.py'
    metric = 'mIoU'
    floor = 80.
    others = ('mAcc', 'aAcc')
    dump = 'DumpClasses'

    def generate(self, root: Path, **arguments) -> None:
        generate_masks(root, **arguments)

    def cells(self, cfg: Config, predictions: Sequence[dict]) -> list[Cell]:
        """Image, truth and prediction side by side, of some images as they come and the three worst of the others."""
        from mmseg.visualization import SegLocalVisualizer
        visualizer = SegLocalVisualizer(alpha=0.8)
        visualizer.dataset_meta = dict(cfg.metainfo)
        values = [image_iou(prediction) for prediction in predictions]
        first = range(min(IMAGES - 3, len(values)))
        worst = sorted(range(len(first), len(values)), key=values.__getitem__)[:3]
        return [Cell(_picture(visualizer, predictions[i]), f'{"worst: " * (i in worst)}mean IoU {values[i]:.2f}',
                     values[i] >= RIGHT) for i in [*first, *worst]]


def image_iou(prediction: dict) -> float:
    """Mean over the classes that are in the truth or in the prediction of one image of intersection over union."""
    true, predicted = prediction['gt_sem_seg'], prediction['pred_sem_seg']
    known = true != 255
    true, predicted = true[known], predicted[known]
    pairs = [(true == label, predicted == label) for label in np.union1d(true, predicted)]
    return float(np.mean([(one & other).sum() / (one | other).sum() for one, other in pairs]))


def _picture(visualizer, prediction: dict) -> np.ndarray:
    """The image as it is, with the true classes and with the predicted ones."""
    from mmseg.structures import SegDataSample
    image = cv2.cvtColor(cv2.imread(prediction['img_path']), cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    pictures = [image]
    for key in ('gt_sem_seg', 'pred_sem_seg'):
        enlarged = np.kron(prediction[key], np.ones((ENLARGED, ENLARGED), np.uint8))
        sample = SegDataSample(**{key: PixelData(data=torch.from_numpy(enlarged)[None])})
        visualizer.add_datasample('sample', image, sample, draw_gt=key == 'gt_sem_seg',
                                  draw_pred=key == 'pred_sem_seg', with_labels=False)
        pictures.append(visualizer.get_image())
    return strip(np.stack(pictures))
