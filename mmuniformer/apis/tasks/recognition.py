"""Action recognition through MMAction2's inferencer."""
from typing import Any

import numpy as np
from mmengine.config import Config

from ..errors import PredictError
from ..media import Clip, Part
from .base import Task


class Recognition(Task):
    """Classes of a stretch of frames.

    The inferencer takes one clip and the central crop of each stretch, whatever views the config tests with.

    Attributes:
        needed (int): Frames that the sampling takes of a stretch.
        span (int, optional): Frames from the first to the last that it takes; None where it spreads them over the
            whole stretch.
    """
    name = 'recognition'

    def build(self, cfg: Config, weights: str, device: str, meta: dict[str, list]) -> Any:
        from mmaction.apis.inferencers import ActionRecogInferencer
        head = cfg.model.get('cls_head')
        if head is not None:
            head.average_clips = 'prob'  # scores that are probabilities
        sampler = next((step for step in cfg.test_dataloader.dataset.pipeline if step.get('clip_len')), {})
        self.needed = sampler.get('clip_len', 1)
        interval = sampler.get('frame_interval') if str(sampler.get('type')).endswith('SampleFrames') else None
        self.span = self.needed * interval if interval else None
        return ActionRecogInferencer(cfg, weights=weights, device=device, input_format='array')

    def check_length(self, clip: Clip, source: str) -> None:
        """Raise :class:`PredictError` where a clip has fewer frames than one sample takes."""
        if len(clip) < self.needed:
            raise PredictError(f'{source} is too short: it has {len(clip)} frame{"s" * (len(clip) != 1)}, and the '
                               f'model looks at {self.needed} different ones')

    def scores(self, clip: Clip, first: int, length: int) -> np.ndarray:
        """Probability of each class in the frames from ``first`` on; decodes only those that the config samples.

        Raises:
            PredictError: One of them can't be decoded.
        """
        data = next(self.inferencer.preprocess([Part(clip, first, length)]))
        return self.inferencer.forward(data)[0].pred_score.cpu().numpy()
