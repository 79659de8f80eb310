"""Data sets drawn from a seed: real files in the frameworks' own formats, for the demo and the tests."""
from .motion import MOTIONS, generate_motion

__all__ = ['MOTIONS', 'generate_motion']
