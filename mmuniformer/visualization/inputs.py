"""A file as a model sees it, from a config of any task."""
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import TRANSFORMS
from torch import Tensor, nn

from mmuniformer.apis import PredictError
from mmuniformer.apis.media import kind, read_image

#: Least side of a picture; smaller ones are drawn several times as large.
SIDE = 128


@dataclass
class Sample:
    """One input.

    Attributes:
        inputs: Normalised, ``(1, 3, H, W)`` or ``(1, 3, T, H, W)``.
        frames: The same as pictures, ``(T, H', W', 3)``, RGB, uint8, small ones enlarged; T is 1 for images.
    """
    inputs: Tensor
    frames: np.ndarray


def read_sample(cfg: Config, model: nn.Module, path: str) -> Sample:
    """Read an image or video through the config's validation pipeline, annotations left out.

    Of a pose estimator the whole picture is the box.

    Args:
        cfg: The whole config.
        model: Its model, whose preprocessor normalises.
        path: An image; for MMAction2's configs a video.

    Raises:
        PredictError: There is no such file, it is of the wrong kind, or the pipeline can't read it or makes several
            clips of it.
    """
    is_video = cfg.get('default_scope') == 'mmaction'
    _check_kind(Path(path), is_video, cfg.filename)
    dataset = (cfg.get('val_dataloader') or {}).get('dataset')
    while dataset and isinstance(dataset.get('dataset'), Mapping):
        dataset = dataset.dataset
    if not dataset or 'pipeline' not in dataset:
        raise PredictError(f'{cfg.filename} does not say how to read a file: it needs a pipeline in val_dataloader')
    steps = [step for step in dataset.pipeline if 'LoadAnnotations' not in step['type']]
    try:
        packed = Compose([TRANSFORMS.build(step) for step in steps])(_facts(path, is_video, cfg.get('default_scope')))
    except Exception as error:  # a pipeline can be anything
        text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        raise PredictError(f'{path} can not be read as {cfg.filename} reads its validation data ({text})') from error
    preprocessor = model.data_preprocessor
    inputs = preprocessor(pseudo_collate([packed]), False)['inputs']
    if inputs.ndim == 6:  # batch, views of the video
        if inputs.shape[1] != 1:
            raise PredictError(f'the validation pipeline of {cfg.filename} makes {inputs.shape[1]} views of a video, '
                               'one is needed')
        inputs = inputs[:, 0]
    pixels = inputs
    if isinstance(getattr(preprocessor, 'mean', None), Tensor):
        shape = (1, 3) + (1, ) * (inputs.ndim - 2)
        pixels = inputs * preprocessor.std.view(shape) + preprocessor.mean.view(shape)
    frames = pixels[0].movedim(0, -1).round().clamp(0, 255).byte().cpu().numpy()
    frames = frames if is_video else frames[None]
    return Sample(inputs, np.stack([mmcv.imrescale(frame, _factor(frame), interpolation='bicubic')
                                    for frame in frames]))


def _factor(frame: np.ndarray) -> int:
    return -(-SIDE // min(frame.shape[:2]))


def _check_kind(path: Path, is_video: bool, config: str) -> None:
    if not path.is_file():
        raise PredictError(f'There is no file {path}: give {"a video" if is_video else "an image"}')
    found, wanted = kind(path), 'video' if is_video else 'image'
    if found is None:
        raise PredictError(f'{path} can not be decoded: give {"a video" if is_video else "an image"} that is whole')
    if found != wanted:
        article = dict(video='a video', image='an image')
        raise PredictError(f'{path} is {article[found]}, and the model of {config} looks at {wanted}s: give '
                           f'{article[wanted]}')


def _facts(path: str, is_video: bool, scope: str | None) -> dict[str, Any]:
    """What the framework's dataset would say of a file, without annotations."""
    if is_video:
        return dict(filename=path, label=0, start_index=0, modality='RGB', tar=False)
    facts = dict(img_path=path, img_id=0)
    if scope == 'mmseg':
        facts.update(reduce_zero_label=False, seg_fields=[])
    if scope == 'mmpose':
        height, width = read_image(Path(path)).shape[:2]
        facts.update(bbox=np.array([[0, 0, width, height]], np.float32), bbox_score=np.ones(1, np.float32))
    return facts


def stage_map(output: Tensor | tuple) -> Tensor:
    """The map ``(B, *S, C)`` in what a block returns: light models' blocks return more than it."""
    return output[0] if isinstance(output, tuple) else output


def checked_stages(backbone: nn.Module, stages: list[int]) -> list[nn.ModuleList]:
    """The blocks of stages, counted from 1.

    Raises:
        PredictError: One is not there, or the backbone is no UniFormer.
    """
    built = [number for number in range(1, 5) if hasattr(backbone, f'blocks{number}')]
    if not built:
        raise PredictError(f'{type(backbone).__name__} is no UniFormer: give a config with one as its backbone')
    wrong = [stage for stage in stages if stage not in built]
    if wrong:
        raise PredictError(f'the backbone has stages {built[0]} to {built[-1]}, got {wrong[0]}')
    return [getattr(backbone, f'blocks{stage}') for stage in stages]
