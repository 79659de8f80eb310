"""Lets tests import the modules of the demo, which belong to no package."""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'demo'))
