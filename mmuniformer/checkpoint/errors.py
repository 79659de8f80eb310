"""The one error of this package."""


class CheckpointError(RuntimeError):
    """Weights that can't be read, or that don't fit the model they were meant for. The model is left as it was."""
