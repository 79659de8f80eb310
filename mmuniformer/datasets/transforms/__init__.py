"""What the recipes need beyond the frameworks' transforms."""
from .clip_rand_augment import ClipRandAugment
from .loading import ClipDecode, ClipInit, ClipReadError
from .repeat_augment import RepeatAugment
from .token_label import LoadTokenLabel, TokenLabelAugment, TokenLabelError, TokenLabelTarget

__all__ = [
    'ClipDecode', 'ClipInit', 'ClipRandAugment', 'ClipReadError', 'LoadTokenLabel', 'RepeatAugment',
    'TokenLabelAugment', 'TokenLabelError', 'TokenLabelTarget'
]
