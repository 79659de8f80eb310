"""The demos by name; a new task is one module with a subclass of ``Task`` and one line here."""
from .classification import Classification
from .detection import Detection
from .pose import Pose
from .recognition import Recognition
from .recognition_light import LightRecognition
from .segmentation import Segmentation

TASKS = {task.name: task for task in (Recognition, Classification, Detection, Segmentation, Pose)}
#: By ``--arch``: the demos of each family of models by name of the task.
ARCHS = {'uniformer': TASKS, 'light': {'recognition': LightRecognition}}
