"""The contact sheet."""
from mmuniformer.visualization.sheet import Cell, draw_sheet, strip

__all__ = ['Cell', 'draw_sheet', 'strip']
