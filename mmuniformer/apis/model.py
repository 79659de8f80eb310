"""A model of a config with its trained weights, without a Runner."""
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmuniformer.engine.launch import wrong_setting
from mmuniformer.engine.missing import advice

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
        PredictError: The config's model can't be built, or the checkpoint can't be read or doesn't fit it.
    """
    content, _ = read_checkpoint(checkpoint)
    model = build_model(cfg)
    check_fit(model, content, checkpoint, _name(cfg))  # loads it
    return model.eval().requires_grad_(False)


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config as it is in one process: without synchronised norms.

    Raises:
        PredictError: The config has no model, asks for what isn't installed, or has settings that can't be.
    """
    if 'model' not in cfg:
        raise PredictError(f'{_name(cfg)} has no `model`: give the config of a task')
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if 'data_preprocessor' in cfg:  # as the Runner does
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    try:
        return revert_sync_batchnorm(MODELS.build(cfg.model))
    except ImportError as error:
        raise PredictError(f'{_name(cfg)} needs {advice(error) or f"what can not be imported ({error})"}') from error
    except (KeyError, ValueError) as error:
        if not wrong_setting(error):
            raise
        raise PredictError(f'{_name(cfg)}: {wrong_setting(error)}') from error


def _name(cfg: Config) -> str:
    return str(cfg.filename or 'the config')
