"""Whether a checkpoint can be read, and fits the model of a config."""
import copy
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
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


def check_fit(model: nn.Module, content: Mapping[str, Any], checkpoint: str, config: str) -> list[str]:
    """Load a checkpoint that has every tensor of a model, in its shape: the frameworks would go on without.

    Returns:
        Names in the checkpoint that the model has no use for.

    Raises:
        PredictError: Something is missing or differs; says what.
    """
    found = content.get('state_dict', content) if isinstance(content, Mapping) else {}
    saved = OrderedDict((name.removeprefix('module.'), value) for name, value in found.items()
                        if isinstance(value, Tensor))
    saved._metadata = getattr(found, '_metadata', None)
    error = None
    try:
        # Loaded and not compared, since some modules know the names of their older versions.
        keys = model.load_state_dict(saved, strict=False)
        if not any(map(_is_needed, keys.missing_keys)):
            return keys.unexpected_keys
    except CheckpointError as form:
        raise PredictError(f'{checkpoint}: {form}') from form
    except Exception as raised:
        error = raised
    wanted = {name: value for name, value in model.state_dict().items() if _is_needed(name)}
    other = [name for name in wanted if name in saved and saved[name].shape != wanted[name].shape]
    missing = ([name for name in wanted if name not in saved] if error else
               list(filter(_is_needed, keys.missing_keys)))
    if error and not other and not missing:
        raise error
    if not missing and all(_differ_in_classes(saved[name], wanted[name]) for name in other):
        name = other[0]
        raise PredictError(
            f'{checkpoint} has {saved[name].shape[0]} classes and {config} {wanted[name].shape[0]} (rows of {name}): '
            'give the config that it was trained with')
    name = (other or missing)[0]
    how = (f'{name} is {_shape(saved[name])}, not {_shape(wanted[name])}' if other else f'{name} is not in it')
    raise PredictError(f'{checkpoint} does not fit {config}: {len(other) + len(missing)} of {len(wanted)} tensors '
                       f'differ or are missing ({how}); give the config that it was trained with')


def check_runner(runner: Runner, content: Mapping[str, Any], checkpoint: str, config: str) -> None:
    """:func:`check_fit` for the model of a Runner, before it loads the checkpoint by itself.

    Raises:
        PredictError: It is a checkpoint of another model.
    """
    model = runner.model
    if not isinstance(model, nn.Module):  # a FlexibleRunner builds it later, from random numbers that stay as they are
        with torch.random.fork_rng(devices=[]):
            model = MODELS.build(copy.deepcopy(model))
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    check_fit(model, content, checkpoint, config)


def _is_needed(name: str) -> bool:
    # Normalisations count batches, which no prediction needs.
    return not name.endswith('num_batches_tracked') and not name.startswith('data_preprocessor.')


def _differ_in_classes(saved: Tensor, wanted: Tensor) -> bool:
    return saved.ndim == wanted.ndim and saved.shape[1:] == wanted.shape[1:]


def _shape(tensor: Tensor) -> str:
    return ' x '.join(map(str, tensor.shape)) or 'a number'
