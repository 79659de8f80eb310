"""Pictures of a training: its curve, and sheets of what the model predicted."""
from .curve import draw_curve, read_scalars
from .sheet import Cell, draw_sheet, strip

__all__ = ['Cell', 'draw_curve', 'draw_sheet', 'read_scalars', 'strip']
