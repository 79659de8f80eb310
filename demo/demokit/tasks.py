"""The demos by name; a new task is one module with a subclass of ``Task`` and one line here."""
from .classification import Classification
from .recognition import Recognition

TASKS = {task.name: task for task in (Recognition, Classification)}
