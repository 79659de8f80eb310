"""Jointed figures whose keypoints are to be found."""
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmuniformer.datasets.generated.keypoints import generate_keypoints
from mmuniformer.visualization import Cell

from .task import Task

IMAGES = 16  # on the contact sheet
ENLARGED = 2
RIGHT = 0.75  # least OKS of a figure that counts as found


class Pose(Task):
    """A UniFormer finds the 17 keypoints of figures."""
    name = 'pose'
    config = 'configs/demo/uniformer-demo_pose.py'
    metric = 'coco/AP'
    floor = 0.5
    others = ('coco/AP .5', 'coco/AP .75', 'coco/AR')

    def generate(self, root: Path, **arguments) -> None:
        generate_keypoints(root, **arguments)

    def cells(self, cfg: Config, predictions: Sequence[dict]) -> list[Cell]:
        """The truth on the left and what was found on the right, of some images as they come and the three worst."""
        from mmpose.datasets.datasets.body import CocoDataset
        from mmpose.datasets.datasets.utils import parse_pose_metainfo
        from mmpose.visualization import PoseLocalVisualizer
        meta = parse_pose_metainfo(CocoDataset.METAINFO)
        visualizer = PoseLocalVisualizer(radius=3, line_width=2)
        visualizer.set_dataset_meta(meta)
        images = {}
        for prediction in predictions:
            found = similarity(prediction, meta['sigmas'])
            images.setdefault(prediction['img_path'], []).append((prediction, found))
        first = list(images)[:IMAGES - 3]
        worst = sorted((path for path in images if path not in first), key=lambda path: min(s for _, s in images[path]))
        cells = []
        for path in [*first, *worst[:3]]:
            values = [value for _, value in images[path]]
            caption = f'{"worst: " * (path in worst)}OKS {", ".join(f"{value:.2f}" for value in values)}'
            picture = _picture(visualizer, path, [prediction for prediction, _ in images[path]])
            cells.append(Cell(picture, caption, min(values) >= RIGHT))
        return cells


def similarity(prediction: dict, sigmas: np.ndarray) -> float:
    """Object keypoint similarity of one prediction and its truth, as COCO's evaluation computes it."""
    truth = prediction['raw_ann_info']
    x, y, flag = np.reshape(truth['keypoints'], (-1, 3)).T
    dx, dy = prediction['pred_instances']['keypoints'][0].T - (x, y)
    likeness = np.exp(-(dx**2 + dy**2) / (2 * truth['area'] * (2 * sigmas)**2))
    return float(likeness[flag > 0].mean())


def _picture(visualizer, path: str, predictions: Sequence[dict]) -> np.ndarray:
    """The image twice, with the true keypoints and with those that were found."""
    from mmpose.structures import PoseDataSample
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    image = cv2.resize(image, None, fx=ENLARGED, fy=ENLARGED, interpolation=cv2.INTER_CUBIC)

    def instances(kind: str, confidence: str) -> InstanceData:
        keypoints = np.concatenate([prediction[kind]['keypoints'] for prediction in predictions])
        return InstanceData(
            keypoints=(keypoints + 0.5) * ENLARGED - 0.5,
            keypoints_visible=np.concatenate([prediction[kind][confidence] for prediction in predictions]))

    sample = PoseDataSample(gt_instances=instances('gt_instances', 'keypoints_visible'),
                            pred_instances=instances('pred_instances', 'keypoint_scores'))
    visualizer.add_datasample('sample', image, sample)
    return visualizer.get_image()
