"""RandAugment over a clip."""
import random

import numpy as np
from mmcv.transforms import BaseTransform

from mmuniformer.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ClipRandAugment(BaseTransform):
    """RandAugment (`arXiv 1909.13719 <https://arxiv.org/abs/1909.13719>`_) with the same choices for a clip's frames.

    timm's operations are applied to one frame after the other, each time from the same state of the random generators:
    operations, their magnitudes and signs are drawn once a clip, so motion is kept. MMAction2's wrappers of
    pytorchvideo and imgaug do the like, but those packages fail to import beside today's torchvision and NumPy.

    Required key: ``imgs`` (list of uint8 arrays of shape ``(H, W, 3)``). Modified key: ``imgs``.

    Args:
        policy: A policy in timm's notation, such as ``'rand-m7-n4-mstd0.5-inc1'``: magnitude 7 of 10 with a standard
            deviation of 0.5, 4 operations a clip (each skipped with probability 0.5), harm growing with magnitude.
        interpolation: How geometric operations resample, ``'nearest'``, ``'bilinear'`` or ``'bicubic'``.
            Defaults to ``'bicubic'``.

    Raises:
        ImportError: When timm is missing.
        ValueError: When ``policy`` or ``interpolation`` is not one of the above.
    """

    def __init__(self, policy: str, interpolation: str = 'bicubic') -> None:
        from PIL import Image
        try:
            from timm.data.auto_augment import rand_augment_transform
        except ImportError as error:
            raise ImportError('ClipRandAugment takes its operations from timm, which is not installed: '
                              "pip install timm, or pip install 'mmuniformer[video]'") from error
        resample = dict(
            nearest=Image.Resampling.NEAREST, bilinear=Image.Resampling.BILINEAR, bicubic=Image.Resampling.BICUBIC)
        if interpolation not in resample:
            raise ValueError(f'interpolation must be one of {sorted(resample)}, got {interpolation!r}')
        try:
            # Fixed, because timm would otherwise draw it anew at every call.
            self.augment = rand_augment_transform(policy, dict(interpolation=resample[interpolation]))
        except (AssertionError, ValueError) as error:
            raise ValueError("policy must be in timm's notation, such as 'rand-m7-n4-mstd0.5-inc1' (see "
                             f'timm.data.auto_augment.rand_augment_transform), got {policy!r}') from error
        self.policy = policy
        self.interpolation = interpolation

    def transform(self, results: dict) -> dict:
        """Augment ``results['imgs']``."""
        from PIL import Image
        start = random.getstate(), np.random.get_state()
        imgs = []
        for img in results['imgs']:
            # timm draws from these two generators; nothing is left behind but one clip's draws.
            random.setstate(start[0])
            np.random.set_state(start[1])
            imgs.append(np.array(self.augment(Image.fromarray(img))))
        results['imgs'] = imgs
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(policy={self.policy!r}, interpolation={self.interpolation!r})'
