"""How much one token attends to the others, without the ``N x N`` matrix of them all."""
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmuniformer.apis import PredictError
from mmuniformer.models.layers import Attention, DividedBlock, GlobalBlock, HourglassBlock

from .inputs import checked_stages

GLOBAL_STAGES = (3, 4)


@torch.no_grad()
def attention_of(backbone: nn.Module, x: Tensor, stage: int = 3, block: int | None = None,
                 query: Sequence[int] | None = None, head: int | None = None) -> tuple[Tensor, tuple[int, ...], int]:
    """Affinity of one query token to every token of its map (arXiv 2201.09450, Eq. 8).

    Tokens that a windowed block does not relate to the query have 0. In a divided block it is the product of the
    attention over space and, at each place, over time: the share of each token in what reaches the query, its residual
    left out.

    Args:
        backbone: In evaluation mode; deployed or not.
        x: One normalised image ``(1, 3, H, W)`` or clip ``(1, 3, T, H, W)``.
        stage: 3 or 4. Defaults to 3.
        block: Number of the block in its stage from 0; negative numbers count from the end. Defaults to the last one
            that relates every token.
        query: Its place in the stage's map: ``(h, w)`` or ``(t, h, w)``. Defaults to the middle.
        head: Number of the attention's head from 0. Defaults to the mean over heads.

    Returns:
        Map ``(h, w)`` or ``(t, h, w)`` in float32, the query, and the number of the block from 0.

    Raises:
        PredictError: For a stage, block, head or query that is not there, or a block of a light model that does not
            relate every token.
    """
    blocks, = checked_stages(backbone, [stage])
    if stage not in GLOBAL_STAGES:
        raise PredictError(f'attention is in stages 3 and 4, got stage {stage}')
    whole = [index for index, each in enumerate(blocks) if not _shrinks(each)]
    if block is None and not whole or block is not None and -len(blocks) <= block < len(blocks) and _shrinks(
            blocks[block]):
        raise PredictError('this block of the light model relates only its most attended tokens: all are related by '
                           'block 0 of stage 3')
    if block is not None and not -len(blocks) <= block < len(blocks):
        raise PredictError(f'stage {stage} has {len(blocks)} blocks, numbered from 0, got {block}')
    number = whole[-1] if block is None else block % len(blocks)
    module = blocks[number]
    shape, seen = _watched(backbone, x, module)
    query = tuple(side // 2 for side in shape) if query is None else tuple(query)
    if len(query) != len(shape) or not all(0 <= at < side for at, side in zip(query, shape)):
        raise PredictError(f'the map of stage {stage} has {" x ".join(map(str, shape))} tokens, numbered from 0 in '
                           f'each direction, and the query {" ".join(map(str, query))} is none of them')
    if head is not None and not 0 <= head < module.attn.num_heads:
        raise PredictError(f'the block has {module.attn.num_heads} heads, numbered from 0, got {head}')
    return _affinity(module, seen, shape, query, head), query, number


def _shrinks(block: nn.Module) -> bool:
    return isinstance(block, HourglassBlock) and block.keep_ratio < 1


def _watched(backbone: nn.Module, x: Tensor, module: nn.Module) -> tuple[tuple[int, ...], dict[str, Tensor]]:
    """Run a backbone; the shape of a block's map, and what its attentions compute queries, keys and values to."""
    shape, seen = [], {}
    handles = [module.register_forward_pre_hook(lambda _, inputs: shape.extend(inputs[0].shape[1:-1]))]
    for name in ('attn', 't_attn'):
        if hasattr(module, name):
            handles.append(getattr(module, name).qkv.register_forward_hook(
                lambda _, __, output, name=name: seen.update({name: output})))
    try:
        backbone(x)
    finally:
        for handle in handles:
            handle.remove()
    return tuple(shape), seen


def _affinity(module: GlobalBlock, seen: dict[str, Tensor], shape: tuple[int, ...], query: tuple[int, ...],
              head: int | None) -> Tensor:
    if isinstance(module, DividedBlock):
        time, row, column = query
        space = _row(module.attn, seen['attn'][time:time + 1], row * shape[2] + column, head)[0]
        tracks = _row(module.t_attn, seen['t_attn'], time, head)
        return (tracks.T * space).view(shape)
    if module.window_size:
        return _in_window(module, seen['attn'], shape, query, head)
    index = 0
    for at, side in zip(query, shape):
        index = index * side + at
    first = int(isinstance(module, HourglassBlock))  # its class token comes first
    return _row(module.attn, seen['attn'], index + first, head)[0, first:].view(shape)


def _in_window(module: GlobalBlock, qkv: Tensor, shape: tuple[int, ...], query: tuple[int, ...],
               head: int | None) -> Tensor:
    size = module.window_size
    rows, columns = (-(-side // size) for side in shape)
    (row, y), (column, x) = (divmod(at, size) for at in query)
    window = row * columns + column
    values = _row(module.attn, qkv[window:window + 1], y * size + x, head)[0]
    full = values.new_zeros(rows * size, columns * size)
    full[row * size:(row + 1) * size, column * size:(column + 1) * size] = values.view(size, size)
    return full[:shape[0], :shape[1]]


def _row(attn: Attention, qkv: Tensor, index: int, head: int | None) -> Tensor:
    """One row of the affinities for each of a batch of ``qkv``, shape ``(B, N)``."""
    B, N, _ = qkv.shape
    q, k, _ = qkv.float().view(B, N, 3, attn.num_heads, attn.head_dim).unbind(2)
    row = (torch.einsum('bhd,bnhd->bhn', q[:, index], k) * attn.scale).softmax(-1)
    return row.mean(1) if head is None else row[:, head]
