"""Where the content of an augmented image came from.

A place in an image is ``(x, y)``, each from 0 to 1 over its width and height. What a transform does to places is an
affine matrix ``A`` of shape ``(3, 3)``: ``A @ (x, y, 1)`` is the place in its input that its output shows at
``(x, y)``. Matrices of steps multiply in the order of the steps.
"""
from collections.abc import Callable

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

Shape = tuple[int, int]


def of_crop(top: int, left: int, height: int, width: int, shape: Shape) -> np.ndarray:
    """A crop of an image of ``shape`` (height and width in pixels), resized to whatever size."""
    return np.array([[width / shape[1], 0, left / shape[1]], [0, height / shape[0], top / shape[0]], [0, 0, 1.]])


def of_flip(direction: str | None) -> np.ndarray:
    """A flip, ``'horizontal'``, ``'vertical'``, ``'diagonal'`` (both) or None."""
    x, y = direction in ('horizontal', 'diagonal'), direction in ('vertical', 'diagonal')
    return np.array([[-1. if x else 1., 0, x], [0, -1. if y else 1., y], [0, 0, 1.]])


def of_warp(matrix: np.ndarray, shape: Shape) -> np.ndarray:
    """What ``cv2.warpAffine`` does with a matrix of shape ``(2, 3)``, which takes pixels of its input to its output."""
    height, width = shape
    # OpenCV's coordinates are those of pixels' centres.
    to_pixels = np.array([[width, 0, -0.5], [0, height, -0.5], [0, 0, 1.]])
    return np.linalg.inv(to_pixels) @ np.linalg.inv(np.vstack([matrix, (0, 0, 1)])) @ to_pixels


def _of_random_resized_crop(step: BaseTransform, image: np.ndarray, results: dict) -> np.ndarray:
    return of_crop(*step.rand_crop_params(image), image.shape[:2])


def _of_random_flip(step: BaseTransform, image: np.ndarray, results: dict) -> np.ndarray:
    return of_flip(results['flip_direction'])


def _of_shear(step: BaseTransform, image: np.ndarray, results: dict) -> np.ndarray:
    shear = _drawn(step, step.magnitude)
    return of_warp(np.array([[1, shear, 0], [0, 1, 0]] if step.direction == 'horizontal' else
                            [[1, 0, 0], [shear, 1, 0]]), image.shape[:2])


def _of_translate(step: BaseTransform, image: np.ndarray, results: dict) -> np.ndarray:
    share = _drawn(step, step.magnitude)
    offset = (share * image.shape[1], 0) if step.direction == 'horizontal' else (0, share * image.shape[0])
    return of_warp(np.array([[1, 0, offset[0]], [0, 1, offset[1]]]), image.shape[:2])


def _of_rotate(step: BaseTransform, image: np.ndarray, results: dict) -> np.ndarray:
    center = step.center or ((image.shape[1] - 1) * 0.5, (image.shape[0] - 1) * 0.5)
    return of_warp(cv2.getRotationMatrix2D(center, -_drawn(step, step.angle), step.scale), image.shape[:2])


def _drawn(step: BaseTransform, fixed: float | None) -> float:
    """The number that a step of RandAugment uses, signed; 0 if it is passed over. Draws as the step does."""
    if step.random_disable():
        return 0.
    return step.random_negative(step.random_magnitude() if fixed is None else fixed)


#: MMPretrain's (and MMCV's) transforms that move content, and what they do to a place: functions of the transform, the
#: image it was given and the results after it, to be called with NumPy's generator in the state that it was given, too.
MOVING: dict[str, Callable[[BaseTransform, np.ndarray, dict], np.ndarray]] = {
    'RandomResizedCrop': _of_random_resized_crop,
    'RandomFlip': _of_random_flip,
    'Shear': _of_shear,
    'Translate': _of_translate,
    'Rotate': _of_rotate,
}
#: Those that leave content where it is.
STAYING = frozenset({
    'AutoContrast', 'Brightness', 'ColorJitter', 'ColorTransform', 'Contrast', 'Cutout', 'Equalize', 'GaussianBlur',
    'Invert', 'Lighting', 'Posterize', 'RandomErasing', 'Sharpness', 'Solarize', 'SolarizeAdd'
})
