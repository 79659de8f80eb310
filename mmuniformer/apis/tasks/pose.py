"""Pose estimation through MMPose's inferencer."""
from typing import Any

import numpy as np
from mmengine.config import Config

from .base import FrameTask


class Pose(FrameTask):
    """Keypoints in each box that a detector finds, or in the whole picture.

    Attributes:
        threshold (float): The least score of a box, and of a keypoint that is drawn. Defaults to 0.3.
        detector (tuple, optional): Path of the config of a detector for top-down models, path of its checkpoint, and
            the class of it to look at. Defaults to none: the whole picture is one box.
    """
    name = 'pose'
    threshold = 0.3

    def __init__(self, *args, detector: tuple[str, str, int] | None = None):
        self.detector = detector
        super().__init__(*args)

    def build(self, cfg: Config, weights: str, device: str, meta: dict[str, list]) -> Any:
        from mmpose.apis.inferencers import Pose2DInferencer
        dataset = cfg.test_dataloader.dataset
        cfg.setdefault('visualizer', dict(type='PoseLocalVisualizer'))
        cfg.setdefault('data_mode', dataset.get('data_mode', 'topdown'))
        cfg.setdefault('dataset_type', dataset.type)
        model, checkpoint, label = self.detector or ('whole_image', None, None)
        return Pose2DInferencer(cfg, weights=weights, device=device, det_model=model, det_weights=checkpoint,
                                det_cat_ids=label)

    def infer(self, image: np.ndarray) -> Any:
        # Sets what the model returns, as a call of the inferencer would.
        self.inferencer.update_model_visualizer_settings()
        data, _ = next(self.inferencer.preprocess([image], bbox_thr=self.threshold))
        return self.inferencer.forward(data)[0]

    def record(self, sample: Any) -> dict[str, Any]:
        found = sample.pred_instances
        names = self.inferencer.model.dataset_meta.get('keypoint_id2name', {})
        people = []
        for points, scores, box, score in zip(found.keypoints, found.keypoint_scores, found.bboxes, found.bbox_scores):
            keypoints = [[round(float(x), 2), round(float(y), 2), round(float(s), 4)]
                         for (x, y), s in zip(points, scores)]
            people.append(dict(box=[round(float(value), 2) for value in box], box_score=round(float(score), 4),
                               keypoints=keypoints))
        return dict(keypoint_names=[names[i] for i in sorted(names)], people=people)

    def draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        drawn = self.inferencer.visualize([image], [sample], return_vis=True, kpt_thr=self.threshold,
                                          draw_bbox=self.detector is not None)[0]
        return np.ascontiguousarray(drawn[..., ::-1])
