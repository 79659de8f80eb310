"""Detection and instance segmentation through MMDetection's inferencer."""
from typing import Any

import numpy as np
from mmengine.config import Config

from .base import FrameTask


class Detection(FrameTask):
    """Boxes, and masks where the model has them, from a score on.

    Attributes:
        threshold (float): The least score that counts. Defaults to 0.3.
    """
    name = 'detection'
    threshold = 0.3

    def build(self, cfg: Config, weights: str, device: str, meta: dict[str, list]) -> Any:
        from mmdet.apis import DetInferencer
        cfg.setdefault('visualizer', dict(type='DetLocalVisualizer'))
        inferencer = DetInferencer(cfg, weights=weights, device=device, show_progress=False)
        # It takes COCO's names where the checkpoint has none.
        inferencer.model.dataset_meta = {'palette': 'random', **meta}
        inferencer.visualizer.dataset_meta = inferencer.model.dataset_meta
        return inferencer

    def infer(self, image: np.ndarray) -> Any:
        _, data = next(self.inferencer.preprocess([image]))
        sample = self.inferencer.forward(data)[0]
        sample.pred_instances = sample.pred_instances[sample.pred_instances.scores >= self.threshold]
        return sample

    def record(self, sample: Any) -> dict[str, Any]:
        found = self.inferencer.pred2dict(sample)
        masks = found.get('masks') or [None] * len(found['labels'])
        return dict(instances=[
            dict(**self.label(label), score=round(score, 4), box=[round(value, 2) for value in box],
                 **(dict(mask=mask) if mask else {}))
            for label, score, box, mask in zip(found['labels'], found['scores'], found['bboxes'], masks)])

    def draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        rgb = np.ascontiguousarray(image[..., ::-1])
        drawn = self.inferencer.visualize([rgb], [sample], return_vis=True, pred_score_thr=self.threshold)[0]
        return np.ascontiguousarray(drawn[..., ::-1])
