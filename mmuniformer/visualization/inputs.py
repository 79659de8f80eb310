"""A model and a file, as the model sees it, from a config of any task."""
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from torch import Tensor, nn

from mmuniformer.checkpoint import load


@dataclass
class Sample:
    """One input.

    Attributes:
        inputs: Normalised, ``(1, 3, H, W)`` or ``(1, 3, T, H, W)``.
        frames: The same as pictures, ``(T, H, W, 3)``, RGB, uint8; T is 1 for images.
    """
    inputs: Tensor
    frames: np.ndarray


def build_model(cfg: Config, checkpoint: str) -> nn.Module:
    """The model of a config for inference; ``checkpoint`` of any layout, or ``'none'``."""
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if 'data_preprocessor' in cfg:  # as the Runner does
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    cfg.model.backbone.init_cfg = None  # weights come from the checkpoint
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    if checkpoint != 'none':
        load(model, checkpoint)
    return model.requires_grad_(False)


def read_sample(cfg: Config, model: nn.Module, path: str) -> Sample:
    """Read an image or video through the config's validation pipeline, annotations left out.

    Args:
        cfg: The whole config.
        model: Its model, whose preprocessor normalises.
        path: An image; for MMAction2's configs a video.

    Raises:
        FileNotFoundError: When there is no such file.
        ValueError: When it can't be read, or the pipeline yields several clips.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'there is no file {path}')
    dataset = cfg.val_dataloader.dataset
    while isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset.dataset
    steps = [step for step in dataset.pipeline if 'LoadAnnotations' not in step['type']]
    info = dict(img_path=path, img_id=0, filename=path, label=0, gt_label=0, start_index=0, modality='RGB', tar=False,
                reduce_zero_label=False, seg_fields=[])
    if cfg.get('default_scope') == 'mmpose':
        import cv2
        picture = cv2.imread(path)
        if picture is None:
            raise ValueError(f'{path} is not an image that OpenCV can read')
        height, width = picture.shape[:2]
        info.update(bbox=np.array([[0, 0, width, height]], np.float32), bbox_score=np.ones(1, np.float32))
    try:
        packed = Compose([TRANSFORMS.build(step) for step in steps])(info)
    except Exception as error:
        text = str(error).strip().splitlines()
        raise ValueError(f"{path} can't be read as the config reads its validation data "
                         f'({text[-1] if text else type(error).__name__})') from error
    with torch.no_grad():
        inputs = model.data_preprocessor(pseudo_collate([packed]), False)['inputs']
    if inputs.ndim == 6:  # batch, views
        if inputs.shape[1] != 1:
            raise ValueError(f'the validation pipeline makes {inputs.shape[1]} clips of a video, one is needed')
        inputs = inputs[0]
    preprocessor = model.data_preprocessor
    shape = (1, 3) + (1, ) * (inputs.ndim - 2)
    pixels = inputs
    if getattr(preprocessor, 'mean', None) is not None:
        pixels = inputs * preprocessor.std.view(shape) + preprocessor.mean.view(shape)
    frames = pixels[0].movedim(0, -1)
    frames = frames if frames.ndim == 4 else frames[None]
    return Sample(inputs, frames.round().clamp(0, 255).byte().cpu().numpy())
