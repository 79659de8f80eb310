"""Repeated augmentation."""
from collections.abc import Sequence
from copy import deepcopy

from mmcv.transforms import BaseTransform
from mmengine.dataset import Compose

from mmuniformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RepeatAugment(BaseTransform):
    """Several augmented samples of one decoded clip (`arXiv 1901.09335 <https://arxiv.org/abs/1901.09335>`_).

    The last transform of a pipeline; its samples share the frames, as in SlowFast's recipes. MMAction2's
    ``RepeatAugDataset`` does this for videos read by decord and decodes each frame once a sample; a transform does it
    for raw frames, too (Something-Something V1), and decodes once. The data loader needs
    ``collate_fn=dict(type='repeat_pseudo_collate')``, so that a batch of ``B`` clips holds ``B * times`` samples.

    Args:
        transforms: Configs of what is done to each sample, down to the packing of inputs.
        times: Samples of a clip. Defaults to 2.
    """

    def __init__(self, transforms: Sequence[dict], times: int = 2) -> None:
        if times < 1:
            raise ValueError(f'times must be at least 1 sample of a clip, got {times}')
        self.transforms = Compose(transforms)
        self.times = times

    def transform(self, results: dict) -> list[dict]:
        """Return ``times`` augmented samples."""
        # Copies, because transforms such as Flip work in place.
        return [self.transforms(deepcopy(results)) for _ in range(self.times)]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(times={self.times}, transforms={self.transforms})'
