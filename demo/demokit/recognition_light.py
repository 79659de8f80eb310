"""The videos of motions, for a light model."""
from .recognition import Recognition


class LightRecognition(Recognition):
    """A UniFormerLight3D learns the same motions."""
    name = 'recognition-light'
    config = 'configs/demo/uniformer-light-demo_recognition.py'
    floor = 0.9
