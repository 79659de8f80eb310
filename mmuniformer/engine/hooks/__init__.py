"""Hooks for MMEngine's Runner that keep a training alive."""
from .checkpoint import CheckpointWriteError, SafeCheckpointHook
from .non_finite import NonFiniteError, NonFiniteHook

__all__ = ['CheckpointWriteError', 'NonFiniteError', 'NonFiniteHook', 'SafeCheckpointHook']
