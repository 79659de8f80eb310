"""The videos of motions, for a light model."""
from .recognition import Recognition


class LightRecognition(Recognition):
    """A UniFormerLight3D learns the same motions, less well: of its patch embeddings only the stem spans frames."""
    name = 'recognition-light'
    config = 'configs/demo/uniformer-light-demo_recognition.py'
    floor = 0.5  # 0.65 measured, chance is 0.125
