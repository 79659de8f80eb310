"""Pictures of a training (its curve, what it predicted) and of what goes on inside a model."""
from .attention import attention_of
from .cam import grad_cam, scores_of
from .curve import draw_curve, read_scalars
from .draw import colored, marked, painted, save
from .features import features_of, principal_colors
from .inputs import Sample, read_sample
from .sheet import Cell, draw_sheet, strip

__all__ = [
    'Cell', 'Sample', 'attention_of', 'colored', 'draw_curve', 'draw_sheet', 'features_of', 'grad_cam', 'marked',
    'painted', 'principal_colors', 'read_sample', 'read_scalars', 'save', 'scores_of', 'strip'
]
