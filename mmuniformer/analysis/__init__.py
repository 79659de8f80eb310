"""Counting a model's parameters and floating-point operations; imported by tools and tests only."""
from .bare import bare_model
from .complexity import KINDS, Complexity, Operator, count
from .inputs import default_shape, example_inputs, masks_of_detections
from .stages import Part, by_stage

__all__ = [
    'KINDS', 'Complexity', 'Operator', 'Part', 'bare_model', 'by_stage', 'count', 'default_shape', 'example_inputs',
    'masks_of_detections'
]
