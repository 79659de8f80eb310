"""Weights that were folded for inference fit only models that were, and the other way round."""
from .errors import CheckpointError


def check_form(checkpoint_is_deployed: bool, model_is_deployed: bool) -> None:
    """Refuse weights of the other form; see :mod:`mmuniformer.models.deploy`.

    Raises:
        CheckpointError: Names which of the two is folded, and what to do.
    """
    if checkpoint_is_deployed and not model_is_deployed:
        raise CheckpointError(
            'the checkpoint is deployed (folded for inference) and the model is not: build the backbone with '
            'deploy=True (the config beside the checkpoint does), or load the checkpoint it was made from')
    if model_is_deployed and not checkpoint_is_deployed:
        raise CheckpointError(
            'the model is deployed (folded for inference) and the checkpoint is not: build the backbone without '
            'deploy=True, load, and then call switch_to_deploy(); or run tools/model_converters/deploy.py')
