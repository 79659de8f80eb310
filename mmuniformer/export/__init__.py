"""Models as files that other programs run: ONNX and ``torch.export``."""
from .files import example, formats, write
from .parts import Backbone, Classifier, choose_part
from .verify import check_inputs, difference, reader

__all__ = ['Backbone', 'Classifier', 'check_inputs', 'choose_part', 'difference', 'example', 'formats', 'reader',
           'write']
