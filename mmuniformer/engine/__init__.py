"""Around MMEngine's Runner: hooks, rules for optimisers, and what the command-line tools need."""
from . import hooks, sharding

__all__ = ['hooks', 'sharding']
