"""From a folder of data to a trained model and a report: what ``tools/finetune.py`` runs.

One module a task in :mod:`mmuniformer.finetune.tasks`, with the interface of :class:`~mmuniformer.finetune.task.Task`;
the rest is common to all. Only the module of a task imports what it needs of a framework.
"""
from .findings import FinetuneError
from .options import Options
from .run import finetune

__all__ = ['FinetuneError', 'Options', 'finetune']
