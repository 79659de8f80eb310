"""What to call a model with to count it: every framework's models take an input of their own form."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine import Config
from torch import nn


def example_inputs(model: nn.Module, shape: Sequence[int]) -> tuple[tuple, dict[str, Any]]:
    """Arguments for one forward pass of a model in its ``tensor`` mode: backbone, neck and heads, no post-processing.

    Detectors get the metadata that a proposal network asks for. MMAction2's recognizers are asked for the classes'
    scores; by default they stop after the backbone.

    Args:
        model: A backbone, or a model of MMAction2, MMDetection, MMSegmentation, MMPose or MMPretrain.
        shape: Shape of one sample: ``(C, H, W)`` or ``(C, T, H, W)``.

    Returns:
        Positional and keyword arguments, for a batch of one.
    """
    frameworks = {cls.__module__.split('.')[0] for cls in type(model).__mro__}
    if 'mmaction' in frameworks:
        # Batch, views of a video, and the sample.
        return (torch.rand(1, 1, *shape), ), dict(stage='head')
    inputs = torch.rand(1, *shape)
    if 'mmdet' in frameworks:
        from mmdet.structures import DetDataSample
        size = tuple(shape[-2:])
        sample = DetDataSample(
            metainfo=dict(
                img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0)))
        return (inputs, ), dict(data_samples=[sample])
    if 'mmpose' in frameworks:
        return (inputs, None), {}
    return (inputs, ), {}


def masks_of_detections(model: nn.Module) -> None:
    """Have a detector of MMDetection's cascade kind take masks of its detections only, as it does in testing.

    In ``tensor`` mode it takes them of every proposal, so their cost would be ten times what it is and what published
    figures count. Other models are left alone.

    Args:
        model: Any model; of a cascade the mask branch is changed in place, for counting only.
    """
    roi_head = getattr(model, 'roi_head', None)
    if 'CascadeRoIHead' not in {cls.__name__ for cls in type(roi_head).__mro__} or not roi_head.with_mask:
        return
    limit, mask_forward = roi_head.test_cfg.max_per_img, roi_head._mask_forward

    def limited(stage, x, rois):
        masks = mask_forward(stage, x, rois[:limit])['mask_preds']
        # The head shares its result out by proposals.
        return dict(mask_preds=torch.cat([masks, masks.new_zeros(len(rois) - len(masks), *masks.shape[1:])]))

    roi_head._mask_forward = limited


def default_shape(cfg: Config) -> tuple[int, ...]:
    """The input for which a model's operations are usually published.

    Pose: the codec's input size. Video: frames of the validation clips, and the size they are cropped or resized to.
    Classification: that size of the validation images. Detection: 800 x 1280. Segmentation: 512 x 2048.

    Args:
        cfg: A whole config.

    Returns:
        Shape of one sample, ``(3, H, W)`` or ``(3, T, H, W)``.

    Raises:
        ValueError: When the config doesn't tell.
    """
    scope = cfg.get('default_scope')
    if scope == 'mmdet':
        return 3, 800, 1280
    if scope == 'mmseg':
        return 3, 512, 2048
    if scope == 'mmpose' and 'input_size' in cfg.get('codec', {}):
        width, height = cfg.codec['input_size']
        return 3, height, width
    if scope in ('mmaction', 'mmpretrain'):
        steps = _validation_pipeline(cfg)
        frames = [step['clip_len'] for step in steps if 'clip_len' in step]
        sizes = [size for step in steps if (size := _size_after(step, keeps_ratio=scope == 'mmaction'))]
        if sizes and (frames or scope == 'mmpretrain'):
            return (3, *(frames[-1:] if scope == 'mmaction' else ()), *sizes[-1])
    raise ValueError('the config does not tell the size of its input: give --shape')


def _validation_pipeline(cfg: Config) -> Sequence[Mapping]:
    """Transforms of the validation data, none where the config has none."""
    dataset = (cfg.get('val_dataloader') or {}).get('dataset', {})
    return dataset.get('pipeline', []) if isinstance(dataset, Mapping) else []


def _size_after(step: Mapping, keeps_ratio: bool) -> tuple[int, int] | None:
    """Height and width that a transform gives to every input, None where they depend on it.

    Args:
        step: A transform's config.
        keeps_ratio: What ``Resize`` does without ``keep_ratio``: MMAction2's keeps it, MMCV's does not.
    """
    if 'crop_size' in step:
        crop = step['crop_size']
        return (crop, crop) if isinstance(crop, int) else tuple(crop)
    if step.get('type') == 'Resize' and 'scale' in step and not step.get('keep_ratio', keeps_ratio):
        scale = step['scale']
        return (scale, scale) if isinstance(scale, int) else tuple(scale[::-1])  # it has the width first
    return None
