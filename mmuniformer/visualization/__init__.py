"""Looking inside a model: attention of a token, Grad-CAM, feature maps."""
from .attention import attention_of
from .cam import grad_cam
from .draw import colored, marked, painted, save, sheet
from .features import principal_colors
from .inputs import Sample, build_model, read_sample

__all__ = [
    'Sample', 'attention_of', 'build_model', 'colored', 'grad_cam', 'marked', 'painted', 'principal_colors',
    'read_sample', 'save', 'sheet'
]
