"""The parts of the network: pure tensors, no config, no registry."""
from .attention import Attention
from .block import DividedBlock, GlobalBlock, LocalBlock
from .checkpointing import checkpointed
from .drop_path import DropPath
from .embed import ConvPatchEmbed, PatchEmbed
from .ffn import FeedForward
from .hourglass import HourglassBlock, pool_score
from .norm import LAYER_NORM_EPS, batch_norm
from .precision import exact

__all__ = [
    'Attention', 'ConvPatchEmbed', 'DividedBlock', 'DropPath', 'FeedForward', 'GlobalBlock', 'HourglassBlock',
    'LAYER_NORM_EPS', 'LocalBlock', 'PatchEmbed', 'batch_norm', 'checkpointed', 'exact', 'pool_score'
]
