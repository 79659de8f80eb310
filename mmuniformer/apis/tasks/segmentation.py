"""Semantic segmentation through MMSegmentation's inferencer."""
from typing import Any

import numpy as np
from mmengine.config import Config

from ..labels import random_palette
from .base import FrameTask


class Segmentation(FrameTask):
    """A class for each pixel."""
    name = 'segmentation'

    def build(self, cfg: Config, weights: str, device: str, meta: dict[str, list]) -> Any:
        from mmseg.apis import MMSegInferencer
        cfg.setdefault('visualizer', dict(type='SegLocalVisualizer'))
        names, palette = meta['classes'], meta.get('palette') or random_palette(len(meta['classes']))
        inferencer = MMSegInferencer(cfg, weights=weights, device=device, classes=names, palette=palette)
        # It takes Cityscapes' names and colours where the checkpoint has none.
        inferencer.model.dataset_meta = dict(classes=names, palette=palette)
        return inferencer

    def infer(self, image: np.ndarray) -> Any:
        return self.inferencer.forward(next(self.inferencer.preprocess([image])))[0]

    def record(self, sample: Any) -> dict[str, Any]:
        labels, counts = np.unique(self.mask(sample), return_counts=True)
        order = np.argsort(-counts, kind='stable')
        return dict(classes=[dict(**self.label(labels[i]), share=round(float(counts[i] / counts.sum()), 4))
                             for i in order])

    def mask(self, sample: Any) -> np.ndarray:
        return sample.pred_sem_seg.data[0].cpu().numpy()

    def draw(self, image: np.ndarray, sample: Any) -> np.ndarray:
        rgb = np.ascontiguousarray(image[..., ::-1])
        drawn = self.inferencer.visualize([rgb], [sample], return_vis=True, opacity=0.5)[0]
        return np.ascontiguousarray(drawn[..., ::-1])
