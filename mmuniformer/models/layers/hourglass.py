"""The hourglass block of the light models: most tokens take a short way (arXiv 2201.09450, Sec. 3.5)."""
from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from .attention import ClassAttention
from .block import GlobalBlock
from .layer_scale import gamma, scaled
from .precision import exact


class HourglassBlock(GlobalBlock):
    """A global block that relates a class token, the most attended tokens, and one token that stands for the rest.

    Each token has a score: how much the class token has attended to it so far, a running mean over blocks. The tokens
    of the highest scores are kept; the others, weighted by score, are shrunk to one representative token. Attention and
    feed-forward network see only these. The others then receive what the representative token received, and every
    token returns to its place.

    Under autocast only attention and feed-forward network, which see normalised tokens, are in half precision: the map,
    the class token, the scores, and what is computed from them directly stay in the precision of the parameters.

    Args:
        ndim: 2 for images, 3 for videos.
        dim: Channels.
        head_dim: Channels of an attention head.
        mlp_ratio: Hidden over outer channels of the feed-forward network.
        keep_ratio: Share of tokens kept, and the weight of this block's attention in the running score. 1 keeps all,
            has no representative token and starts the score anew.
        drop: Dropout rate of the feed-forward network and of the attention's output.
        attn_drop: Dropout rate of the affinities.
        drop_path: Stochastic depth rate.
        layer_scale: Initial value of a learned scale of both branches; None for none.
        scale_recovery: Whether, with layer scale and tokens shrunk, the way back has a scale of its own (``gamma_3``,
            as the release's image models) instead of the two branches' (its video models).
    """

    def __init__(self,
                 ndim: int,
                 dim: int,
                 head_dim: int,
                 mlp_ratio: float,
                 keep_ratio: float,
                 drop: float = 0.,
                 attn_drop: float = 0.,
                 drop_path: float = 0.,
                 layer_scale: float | None = None,
                 scale_recovery: bool = False):
        super().__init__(ndim, dim, head_dim, mlp_ratio, drop, attn_drop, drop_path, layer_scale)
        self.keep_ratio = keep_ratio
        # In whole numbers, so that ``torch.export`` keeps the number of tokens symbolic.
        self.share = Fraction(keep_ratio).limit_denominator(1000)
        self.attn = ClassAttention(dim, head_dim, attn_drop, drop)
        self.scale_recovery = self.layer_scale and scale_recovery and keep_ratio < 1
        if self.scale_recovery:
            self.gamma_3 = gamma((dim, ), layer_scale)

    def forward(self, x: Tensor, cls_token: Tensor, score: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Relate the tokens of a map.

        Args:
            x: Map of shape ``(B, *S, C)`` with ``N`` tokens.
            cls_token: Shape ``(B, 1, C)``.
            score: Shape ``(B, N)``, float32; may be None where all tokens are kept.

        Returns:
            The map, the class token and the score after this block, shapes unchanged.
        """
        x = exact(self.pos_embed, x)
        tokens = x.flatten(1, -2)
        if self.keep_ratio == 1:
            updated, score, _ = self._update(torch.cat([cls_token, tokens], 1))
            return updated[:, 1:].reshape(x.shape), updated[:, :1], score

        num_tokens = tokens.shape[1]
        kept = num_tokens * self.share.numerator // self.share.denominator
        top = score.argsort(1, descending=True)[:, :kept]
        sample = torch.arange(x.shape[0], device=x.device)[:, None]
        chosen = tokens.flatten(0, 1).index_select(0, (sample * num_tokens + top).flatten()).unflatten(0, top.shape)
        representative = _weighted_mean(tokens, score.scatter(1, top, 0.))
        updated, attended, received = self._update(torch.cat([cls_token, chosen, representative], 1))

        # Tokens stay where they are; only those that were chosen are replaced, each a whole row.
        tokens = tokens + received
        tokens[sample, top] = updated[:, 1:-1]
        top_score = torch.lerp(score.gather(1, top), attended[:, :-1].to(score.dtype), self.keep_ratio)
        return tokens.view(x.shape), updated[:, :1], score.scatter(1, top, top_score)

    def _update(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Attention and feed-forward of ``(B, M, C)``; the class token's affinities; what the last token received."""
        related, attended = self.attn(self.norm1(tokens))
        first = scaled(self, 'gamma_1', related)
        tokens = tokens + self.drop_path(first)
        normed = self.norm2(tokens)
        fed = self.mlp.fused(normed) if self.fused else self.mlp(normed)
        second = scaled(self, 'gamma_2', fed)
        tokens = tokens + self.drop_path(second)
        if self.scale_recovery:
            return tokens, attended, self.gamma_3 * (related[:, -1:].to(tokens.dtype) + fed[:, -1:])
        return tokens, attended, first[:, -1:].to(tokens.dtype) + second[:, -1:]


def _weighted_mean(tokens: Tensor, score: Tensor) -> Tensor:
    """``(B, M, C)`` to ``(B, 1, C)``; the weights are normalised in float32, where their sum seldom vanishes."""
    weight = score / _nonzero(score.sum(1, keepdim=True))
    return (weight[..., None] * tokens).sum(1, keepdim=True).to(tokens.dtype)


def pool_score(score: Tensor, shape: tuple[int, ...], pool: Callable[[Tensor], Tensor]) -> Tensor:
    """The score of the next stage's smaller map: the mean over each patch, with the sum over the map kept.

    Args:
        score: Shape ``(B, N)``.
        shape: ``(B, *S)`` of the map it belongs to.
        pool: Average pooling of ``(B, 1, *S)`` over the patches.

    Returns:
        Tensor of shape ``(B, N / patch)``.
    """
    pooled = pool(score.view(shape)[:, None]).flatten(1)
    return pooled * (score.sum(1, keepdim=True) / _nonzero(pooled.sum(1, keepdim=True)))


def _nonzero(total: Tensor) -> Tensor:
    """A sum of scores to divide by. It is zero where the class token attends to itself alone; the bound is the root of
    the smallest number, so that the gradient of the quotient is finite, too."""
    return total.clamp_min(torch.finfo(total.dtype).tiny**0.5)
