"""The arithmetic whose fastest form depends on device, dtype and size: one function each, on channels-last tensors."""
from .attention import attention
from .convolution import convolve, pointwise
from .depthwise import depthwise_convolve
from .layout import channels_first, channels_last
from .linear import gelu_linear, linear_add, linear_gelu
from .tracing import is_exporting

__all__ = [
    'attention', 'channels_first', 'channels_last', 'convolve', 'depthwise_convolve', 'gelu_linear', 'is_exporting',
    'linear_add', 'linear_gelu', 'pointwise'
]
