"""Whether a program is being written down for elsewhere."""
import torch


def is_exporting() -> bool:
    """Whether ``torch.export`` is at work, and not ``torch.compile``, for which Dynamo answers yes as well."""
    return torch.compiler.is_exporting() and not torch.compiler.is_dynamo_compiling()
