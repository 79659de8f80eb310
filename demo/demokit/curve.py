"""The learning curve."""
from mmuniformer.visualization.curve import draw_curve, read_scalars

__all__ = ['draw_curve', 'read_scalars']
