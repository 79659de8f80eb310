"""The UniFormer block in its forms: one step each of position embedding, relation and feed-forward.

    x = x + DPE(x);  x = x + relation(norm(x));  x = x + FFN(norm(x))        (arXiv 2201.09450, Eqs. 1-3)

Only the relation differs. Maps are channels-last, ``(B, *S, C)``. Folded blocks (:mod:`mmuniformer.models.deploy`)
are only evaluated, and ``fused``: a linear map and the GELU or the sum after it are one operation.
"""
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from mmuniformer.ops import linear_add

from .attention import Attention
from .conv import depthwise, pointwise_conv, position_embedding
from .drop_path import DropPath
from .ffn import FeedForward
from .layer_scale import gamma, scaled
from .norm import LAYER_NORM_EPS, batch_norm
from .window import window_partition, window_unpartition


def _fed(block: nn.Module, x: Tensor, normed: Tensor) -> Tensor:
    """The map ``x`` after the feed-forward step of a block."""
    if block.fused:
        return block.mlp.fused(normed, x)
    return x + block.drop_path(scaled(block, 'gamma_2', block.mlp(normed)))


class LocalBlock(nn.Module):
    """Relation of a token with those around it: a learned affinity that is a depthwise 5x5(x5) kernel (Eq. 7).

    Args:
        ndim: 2 for images, 3 for videos.
        dim: Channels.
        mlp_ratio: Hidden over outer channels of the feed-forward network.
        norm_layer: What makes the BatchNorm of given channels.
        drop: Dropout rate of the feed-forward network.
        drop_path: Stochastic depth rate.
        layer_scale: Initial value of a learned scale of both branches; None for none.
    """
    fused = False

    def __init__(self,
                 ndim: int,
                 dim: int,
                 mlp_ratio: float,
                 norm_layer: Callable[[int], nn.Module],
                 drop: float = 0.,
                 drop_path: float = 0.,
                 layer_scale: float | None = None):
        super().__init__()
        self.pos_embed = position_embedding(ndim, dim)
        self.norm1 = norm_layer(dim)
        self.conv1 = pointwise_conv(ndim, dim, dim)
        self.attn = depthwise(ndim, dim, 5)
        self.conv2 = pointwise_conv(ndim, dim, dim)
        self.norm2 = norm_layer(dim)
        self.mlp = FeedForward(dim, int(dim * mlp_ratio), drop, partial(pointwise_conv, ndim))
        self.drop_path = DropPath(drop_path)
        self.layer_scale = layer_scale is not None
        if self.layer_scale:
            # The release keeps these in the shape that its channels-first maps need.
            for name in ('gamma_1', 'gamma_2'):
                self.register_parameter(name, gamma((1, dim) + (1, ) * ndim, layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pos_embed(x)
        related = self.attn(self.conv1(batch_norm(self.norm1, x)))
        if self.fused:
            x = linear_add(related, self.conv2.weight, self.conv2.bias, x)
        else:
            x = x + self.drop_path(scaled(self, 'gamma_1', self.conv2(related)))
        return _fed(self, x, batch_norm(self.norm2, x))


class GlobalBlock(nn.Module):
    """Relation by content between all tokens of the map, or of each window of it (Eq. 8; Sec. 3.4 for windows).

    Args:
        ndim: 2 for images, 3 for videos.
        dim: Channels.
        head_dim: Channels of an attention head.
        mlp_ratio: Hidden over outer channels of the feed-forward network.
        drop: Dropout rate of the feed-forward network and of the attention's output.
        attn_drop: Dropout rate of the affinities.
        drop_path: Stochastic depth rate.
        layer_scale: Initial value of a learned scale of both branches; None for none.
        window_size: Side of the windows in tokens, 2-D only; 0 relates the whole map. A map that is no multiple of it
            is filled up with zeros after the norm, and the zeros take part (as in the release).
    """
    fused = False

    def __init__(self,
                 ndim: int,
                 dim: int,
                 head_dim: int,
                 mlp_ratio: float,
                 drop: float = 0.,
                 attn_drop: float = 0.,
                 drop_path: float = 0.,
                 layer_scale: float | None = None,
                 window_size: int = 0):
        super().__init__()
        self.window_size = window_size
        self.pos_embed = position_embedding(ndim, dim)
        self.norm1 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.attn = Attention(dim, head_dim, attn_drop, drop)
        self.norm2 = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.mlp = FeedForward(dim, int(dim * mlp_ratio), drop)
        self.drop_path = DropPath(drop_path)
        self.layer_scale = layer_scale is not None
        if self.layer_scale:
            self.gamma_1 = gamma((dim, ), layer_scale)
            self.gamma_2 = gamma((dim, ), layer_scale)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pos_embed(x)
        x = x + self.drop_path(scaled(self, 'gamma_1', self.relate(self.norm1(x))))
        return _fed(self, x, self.norm2(x))

    def relate(self, x: Tensor) -> Tensor:
        """Attention over a normalised map ``(B, *S, C)``."""
        if not self.window_size:
            return self.attn(x.flatten(1, -2)).view(x.shape)
        windows = self.attn(window_partition(x, self.window_size))
        return window_unpartition(windows, self.window_size, x.shape)


class DividedBlock(GlobalBlock):
    """Attention over time, then over space, as the video paper's split variant (arXiv 2201.04676, Table 5).

    The time attention's result feeds only the space attention: the residual of both is the map before them. The
    arguments are :class:`GlobalBlock`'s without ``ndim``, ``layer_scale`` and ``window_size``.
    """

    def __init__(self, dim: int, head_dim: int, mlp_ratio: float, drop: float = 0., attn_drop: float = 0.,
                 drop_path: float = 0.):
        super().__init__(3, dim, head_dim, mlp_ratio, drop, attn_drop, drop_path)
        self.t_norm = nn.LayerNorm(dim, LAYER_NORM_EPS)
        self.t_attn = Attention(dim, head_dim, attn_drop, drop)

    def init_time_attention(self) -> None:
        """Start with no influence of the time attention: zero queries, keys and values, a projection of ones."""
        for parameter in (self.t_attn.qkv.weight, self.t_attn.qkv.bias, self.t_attn.proj.bias):
            nn.init.zeros_(parameter)
        nn.init.ones_(self.t_attn.proj.weight)

    def forward(self, x: Tensor) -> Tensor:
        B, T, H, W, C = x.shape
        x = self.pos_embed(x)
        tracks = x.flatten(2, 3).transpose(1, 2).reshape(B * H * W, T, C)
        tracks = tracks + self.drop_path(self.t_attn(self.t_norm(tracks)))
        frames = tracks.view(B, H * W, T, C).transpose(1, 2).reshape(B * T, H * W, C)
        frames = self.drop_path(self.attn(self.norm1(frames)))
        x = x + frames.view(x.shape)
        return _fed(self, x, self.norm2(x))
