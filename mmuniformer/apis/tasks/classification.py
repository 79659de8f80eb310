"""Image classification through MMPretrain's inferencer."""
from typing import Any

import numpy as np
from mmengine.config import Config

from ..caption import add_caption, label_lines
from .base import FrameTask


class Classification(FrameTask):
    """Classes of a picture, the likeliest first.

    The names are written above the picture: on one of 64 pixels, MMPretrain's visualizer could not.
    """
    name = 'classification'

    def build(self, cfg: Config, weights: str, device: str, meta: dict[str, list]) -> Any:
        from mmpretrain import ImageClassificationInferencer
        return ImageClassificationInferencer(cfg, pretrained=weights, device=device, classes=meta['classes'])

    def infer(self, image: np.ndarray) -> Any:
        return self.inferencer.forward(next(self.inferencer.preprocess([image])))[0]

    def record(self, sample: Any) -> dict[str, Any]:
        return dict(labels=self.best(sample.pred_score.cpu().numpy()))

    def draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        return add_caption(image, label_lines(self.record(sample)['labels']))
