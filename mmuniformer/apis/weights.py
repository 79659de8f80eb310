"""Whether a checkpoint can be read, and fits the model of a config."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mmuniformer.checkpoint import CheckpointError
from mmuniformer.checkpoint.layouts import unwrap
from mmuniformer.engine.launch import check_checkpoint

from .errors import PredictError


def read_checkpoint(source: str) -> tuple[Mapping[str, Any], Path]:
    """Read a checkpoint of an OpenMMLab framework; where its file lies is the second value.

    Args:
        source: A path, URL or ``hf://owner/repository/file``.

    Raises:
        PredictError: It can't be read, or has the names of the official release; says how to convert it.
    """
    try:
        content, path = check_checkpoint(source)
        unwrap(content)
    except (SystemExit, CheckpointError) as error:
        raise PredictError(str(error)) from error
    return content, path


def check_fit(model: nn.Module, content: Mapping[str, Any], checkpoint: str, config: str) -> None:
    """See to it that a checkpoint has every tensor of a model, in its shape: the frameworks would go on without.

    Raises:
        PredictError: It doesn't; says what differs.
    """
    saved = content.get('state_dict', content)
    saved = {name.removeprefix('module.'): value for name, value in saved.items() if isinstance(value, Tensor)}
    # Normalisations count batches, which no prediction needs.
    wanted = {name: value for name, value in model.state_dict().items() if not name.endswith('num_batches_tracked')
              and not name.startswith('data_preprocessor.')}
    other = [name for name in wanted if name in saved and saved[name].shape != wanted[name].shape]
    missing = [name for name in wanted if name not in saved]
    if not other and not missing:
        return
    if not missing and all(_differ_in_classes(saved[name], wanted[name]) for name in other):
        name = other[0]
        raise PredictError(
            f'{checkpoint} has {saved[name].shape[0]} classes and {config} {wanted[name].shape[0]} (rows of {name}): '
            'give the config that it was trained with')
    name = (other or missing)[0]
    how = (f'{name} is {_shape(saved[name])}, not {_shape(wanted[name])}' if other else f'{name} is not in it')
    raise PredictError(f'{checkpoint} does not fit {config}: {len(other) + len(missing)} of {len(wanted)} tensors '
                       f'differ or are missing ({how}); give the config that it was trained with')


def _differ_in_classes(saved: Tensor, wanted: Tensor) -> bool:
    return saved.ndim == wanted.ndim and saved.shape[1:] == wanted.shape[1:]


def _shape(tensor: Tensor) -> str:
    return ' x '.join(map(str, tensor.shape)) or 'a number'
