"""A model of a config with its trained weights, without a Runner."""
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from .errors import PredictError
from .weights import check_fit, read_checkpoint


def load_model(cfg: Config, checkpoint: str) -> nn.Module:
    """Build the model of a config, load all its weights, and set it to inference.

    Args:
        cfg: A whole config of any task.
        checkpoint: Weights under the framework's names: a path, URL or ``hf://owner/repository/file``.

    Returns:
        The model on the CPU, in evaluation mode, without gradients of its parameters.

    Raises:
        PredictError: The config has no model or asks for a framework that isn't there, or the checkpoint can't be read
            or doesn't fit it.
    """
    name = str(cfg.filename or 'the config')
    if 'model' not in cfg:
        raise PredictError(f'{name} has no `model`: give the config of a task')
    content, _ = read_checkpoint(checkpoint)
    try:
        init_default_scope(cfg.get('default_scope', 'mmengine'))
        if 'data_preprocessor' in cfg:  # as the Runner does
            cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
        model = revert_sync_batchnorm(MODELS.build(cfg.model))
    except ImportError as error:
        raise PredictError(f'{name} needs a framework that can not be imported ({error}): install mmuniformer with the '
                           'extra of its task') from error
    check_fit(model, content, checkpoint, name)
    weights = content.get('state_dict', content)
    model.load_state_dict({key.removeprefix('module.'): value for key, value in weights.items()}, strict=False)
    return model.eval().requires_grad_(False)
