"""The one kind of error that prediction raises on purpose."""


class PredictError(RuntimeError):
    """Nothing could be predicted. The message is one sentence that names what was wrong and what would be right."""
