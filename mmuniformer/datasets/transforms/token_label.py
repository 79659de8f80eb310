"""Token labels (`arXiv 2104.10858 <https://arxiv.org/abs/2104.10858>`_): read, moved with their image, and pooled."""
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from mmuniformer.registry import TRANSFORMS

from .token_label_geometry import MOVING, STAYING
from .token_label_pooling import pooling_weights, softmax


class TokenLabelError(RuntimeError):
    """A label map can't be used. The message is one line that names the file and says what would be right."""


@TRANSFORMS.register_module()
class LoadTokenLabel(BaseTransform):
    """Read the label map of an image.

    The format is the paper's: for ``train/n01440764/n01440764_10026.JPEG`` a file ``n01440764/n01440764_10026.pt`` in
    the folder of label maps, a tensor of shape ``(2, K, H, W)`` of a grid over the image (18 x 18 in the authors'
    files): in ``[0]`` the scores of the ``K`` (5) likeliest classes of each place before the softmax, in ``[1]`` their
    numbers.

    Required key: ``img_path``. Added key: ``token_label`` (float32 array of shape ``(2, K, H, W)``).

    Args:
        folder: Where the label maps are.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)

    def transform(self, results: dict) -> dict:
        """Add ``token_label``.

        Raises:
            TokenLabelError: When the folder or the file is missing, or the file is something else.
        """
        image = Path(results['img_path'])
        path = self.folder / image.parent.name / f'{image.stem}.pt'
        try:
            label = torch.load(path, map_location='cpu', weights_only=True)
        except FileNotFoundError as error:
            raise TokenLabelError(self._missing(path, image)) from error
        except Exception as error:  # the restricted unpickler raises nearly anything on a file that is not its own
            raise TokenLabelError(f'{path} is not a label map that PyTorch can read ({type(error).__name__}): '
                                  'fetch it again') from error
        if not isinstance(label, torch.Tensor) or label.ndim != 4 or label.shape[0] != 2:
            held = tuple(label.shape) if isinstance(label, torch.Tensor) else type(label).__name__
            raise TokenLabelError(f'{path} is not a label map: expected a tensor of shape (2, K, H, W), scores and '
                                  f'classes of K classes a place, got {held}')
        results['token_label'] = label.float().numpy()
        return results

    def _missing(self, path: Path, image: Path) -> str:
        if not self.folder.is_dir():
            return (f'there is no folder {self.folder} of label maps: fetch them as configs/classification/uniformer/'
                    "README.md says and name their folder in LoadTokenLabel's `folder`")
        return (f'{image} has no label map: expected {path}, a folder for each class and a .pt file for each image in '
                f'{self.folder}')

    def __repr__(self) -> str:
        return f"{type(self).__name__}(folder='{self.folder}')"


@TRANSFORMS.register_module()
class TokenLabelAugment(BaseTransform):
    """Augment an image with MMPretrain's transforms and remember where its content came from.

    Known are RandomResizedCrop, RandomFlip, RandAugment with its shears, translations and rotations, and what changes
    colours only.

    Required key: ``img``. Added key: ``token_label_origin``, matrices of shape ``(n, 3, 3)`` that take a place in the
    augmented image to its place in the original (the first) and in what each but the first step was given
    (:mod:`~mmuniformer.datasets.transforms.token_label_geometry`). Content that any of them had not is lost.

    Args:
        transforms: Configs of the transforms.

    Raises:
        ValueError: For a transform whose effect on places is not known here.
    """

    def __init__(self, transforms: Sequence[dict]) -> None:
        self.transforms = [TRANSFORMS.build(transform) for transform in transforms]
        for transform in self.transforms:
            for step in transform.transforms if _name(transform) == 'RandAugment' else [transform]:
                if _name(step) not in MOVING and _name(step) not in STAYING:
                    raise ValueError(f"TokenLabelAugment can't tell where {_name(step)} moves an image's content: it "
                                     f'knows RandAugment, {", ".join(sorted([*MOVING, *STAYING]))}')

    def transform(self, results: dict) -> dict:
        """Augment ``img`` and add ``token_label_origin``."""
        origins = np.eye(3)[None]
        for step in self._steps():
            if _name(step) not in MOVING:
                results = step(results)
                continue
            image, before = results['img'], np.random.get_state()
            results = step(results)
            after = np.random.get_state()
            # Asked again in the same state, the step draws the same.
            np.random.set_state(before)
            moved = MOVING[_name(step)](step, image, results)
            np.random.set_state(after)
            origins = np.concatenate([origins @ moved, np.eye(3)[None]])
        results['token_label_origin'] = origins[:-1] if len(origins) > 1 else origins
        return results

    def _steps(self) -> Iterator[BaseTransform]:
        for transform in self.transforms:
            if _name(transform) == 'RandAugment':
                yield from (transform.transforms[index] for index in transform.random_policy_indices())
            else:
                yield transform

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.transforms})'


@TRANSFORMS.register_module()
class TokenLabelTarget(BaseTransform):
    """Make training targets of a label map: a distribution over the classes for each token, and one for the image.

    Each token's is the softmax of the scores in its part of the image, averaged as RoIAlign does; classes that the map
    leaves out, and places outside of the original image, count 0. The image's is the softmax of the tokens' mean.

    Required keys: ``token_label``, and ``token_label_origin`` if the image was augmented. Added keys: ``token_score``
    (tensor of shape ``(num_classes, h, w)``, float16, since it is large) and ``gt_score`` (``(num_classes, )``).

    Args:
        size: Tokens along the side of the network's last map, or ``(h, w)``: 7 for images of 224 pixels, 12 for 384.
        num_classes: Number of classes.
    """

    def __init__(self, size: int | Sequence[int], num_classes: int) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.num_classes = num_classes

    def transform(self, results: dict) -> dict:
        """Add ``token_score`` and ``gt_score``.

        Raises:
            TokenLabelError: When the map names a class that there is not.
        """
        scores, classes = results['token_label'].reshape(2, results['token_label'].shape[1], -1)
        if classes.min() < 0 or classes.max() >= self.num_classes:
            raise TokenLabelError(f"{results.get('img_path', 'an image')}: its label map names classes "
                                  f'{classes.min():g} to {classes.max():g}, and num_classes={self.num_classes} allows '
                                  f'0 to {self.num_classes - 1}')
        places = np.zeros((scores.shape[1], self.num_classes), np.float32)
        np.put_along_axis(places, classes.T.astype(np.int64), scores.T, axis=1)
        weights = pooling_weights(
            results.get('token_label_origin', np.eye(3)[None]), self.size, results['token_label'].shape[2:])
        tokens = weights @ places
        results['token_score'] = torch.from_numpy(softmax(tokens).T.reshape(-1, *self.size)).half()
        results['gt_score'] = torch.from_numpy(softmax(tokens.mean(0)))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(size={self.size}, num_classes={self.num_classes})'


def _name(transform: BaseTransform) -> str:
    return type(transform).__name__
