"""Shapes that hide parts of each other, to be found and outlined."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config

from mmuniformer.datasets.generated.instances import generate_instances
from mmuniformer.visualization import Cell

from .task import Task

IMAGES, MISTAKES = 12, 4  # on the contact sheet, and how many of them at most because something is wrong in them
ENLARGED = 2
SCORE = 0.5  # least score of a box that is shown
OVERLAP = 0.5  # least IoU of a box with an object that it finds


class Detection(Task):
    """Mask R-CNN on a UniFormer finds and outlines shapes."""
    name = 'detection'
    config = 'configs/demo/uniformer-demo_detection.py'
    metric = 'coco/bbox_mAP_50'
    floor = 0.7
    others = ('coco/bbox_mAP', 'coco/segm_mAP_50', 'coco/segm_mAP')
    dump = 'DumpDetResults'

    def generate(self, root: Path, **arguments) -> None:
        generate_instances(root, **arguments)

    def cells(self, cfg: Config, predictions: Sequence[dict]) -> list[Cell]:
        """The truth on the left and what was found on the right, of some images as they come and some with mistakes."""
        from mmdet.registry import DATASETS
        from mmdet.visualization import DetLocalVisualizer
        dataset = DATASETS.build(cfg.test_dataloader.dataset)  # the dumped predictions come without the truth
        visualizer = DetLocalVisualizer(line_width=2, alpha=0.5)
        visualizer.dataset_meta = dataset.metainfo
        samples = [dataset[index]['data_samples'] for index in range(len(predictions))]
        counts = [found(sample.gt_instances, prediction['pred_instances'])
                  for sample, prediction in zip(samples, predictions)]
        wrong = [counts[i] != (len(sample.gt_instances), 0) for i, sample in enumerate(samples)]
        more = [i for i in range(IMAGES - MISTAKES, len(samples)) if wrong[i]][:MISTAKES]
        first = [i for i in range(len(samples)) if i not in more][:IMAGES - len(more)]
        cells = []
        for i in [*first, *more]:
            hits, extra = counts[i]
            caption = f'true | found: {hits} of {len(samples[i].gt_instances)}' + f', {extra} too many' * (extra > 0)
            cells.append(Cell(_picture(visualizer, samples[i], predictions[i]), caption, not wrong[i]))
        return cells


def found(truth, predicted: dict) -> tuple[int, int]:
    """Give boxes of a score of at least ``SCORE`` to objects of their class, the surest first, each to one.

    Args:
        truth (InstanceData): ``bboxes``, ``N`` of MMDetection's boxes, and ``labels`` ``(N, )``.
        predicted (dict): ``bboxes`` ``(M, 4)``, ``labels`` and ``scores`` ``(M, )``.

    Returns:
        tuple[int, int]: How many objects were found, and how many boxes found none.
    """
    from mmdet.structures.bbox import bbox_overlaps
    order = [i for i in predicted['scores'].argsort(descending=True).tolist() if predicted['scores'][i] >= SCORE]
    overlaps = bbox_overlaps(predicted['bboxes'][order], truth.bboxes.tensor)
    overlaps[predicted['labels'][order][:, None] != truth.labels] = 0
    hits = 0
    for row in range(len(order)):
        best = int(overlaps[row].argmax())
        if overlaps[row, best] >= OVERLAP:
            hits += 1
            overlaps[:, best] = 0
    return hits, len(order) - hits


def _picture(visualizer, sample, prediction: dict) -> np.ndarray:
    """The image twice, with the true boxes and masks and with those that were found."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData
    from pycocotools.mask import decode
    image = cv2.cvtColor(cv2.imread(sample.img_path), cv2.COLOR_BGR2RGB)

    def instances(content, masks, **more) -> InstanceData:
        large = [cv2.resize(mask, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_NEAREST) for mask in masks]
        boxes = torch.as_tensor(content['bboxes'], dtype=torch.float32) * ENLARGED
        return InstanceData(bboxes=boxes, labels=content['labels'], masks=np.array(large, dtype=bool), **more)

    truth, predicted = sample.gt_instances, prediction['pred_instances']
    drawn = DetDataSample(
        gt_instances=instances(dict(bboxes=truth.bboxes.tensor, labels=truth.labels), truth.masks.masks),
        pred_instances=instances(predicted, [decode(mask) for mask in predicted['masks']], scores=predicted['scores']))
    large = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)
    visualizer.add_datasample('sample', large, drawn, pred_score_thr=SCORE)
    return visualizer.get_image()
