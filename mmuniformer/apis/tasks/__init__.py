"""What prediction needs of each task, around the inferencer of its framework."""
from .base import FrameTask, Task
from .classification import Classification
from .detection import Detection
from .pose import Pose
from .recognition import Recognition
from .segmentation import Segmentation

#: By ``default_scope`` of the config.
TASKS = {'mmaction': Recognition, 'mmpretrain': Classification, 'mmdet': Detection, 'mmseg': Segmentation,
         'mmpose': Pose}

__all__ = ['TASKS', 'FrameTask', 'Task']
