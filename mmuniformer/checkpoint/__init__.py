"""Weights: read from anywhere, of any layout, into any UniFormer, and back to the official names."""
from .errors import CheckpointError
from .inflate import inflate
from .load import LoadReport, load
from .published import PUBLISHED, Published

__all__ = ['PUBLISHED', 'CheckpointError', 'LoadReport', 'Published', 'inflate', 'load']
