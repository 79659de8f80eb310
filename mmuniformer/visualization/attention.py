"""How much one token attends to the others, without the ``N x N`` matrix of them all."""
import torch
from torch import Tensor, nn

from mmuniformer.models.layers import Attention, DividedBlock, GlobalBlock, HourglassBlock


@torch.no_grad()
def attention_of(backbone: nn.Module, x: Tensor, stage: int, block: int, query: tuple[int, ...],
                 head: int | None = None) -> Tensor:
    """Affinity of one query token to every token of its map (arXiv 2201.09450, Eq. 8).

    Tokens that a windowed block does not relate to the query have 0. In a divided block it is the product of the
    attention over space and, at each place, over time: the share of each token in what reaches the query, its residual
    left out.

    Args:
        backbone: In evaluation mode.
        x: One normalised image ``(1, 3, H, W)`` or clip ``(1, 3, T, H, W)``.
        stage: 3 or 4.
        block: Number of the block in its stage from 0; negative numbers count from the end.
        query: Its place in the stage's map: ``(h, w)`` or ``(t, h, w)``.
        head: Number of the attention's head; None for the mean over heads.

    Returns:
        Map ``(h, w)`` or ``(t, h, w)`` in float32.

    Raises:
        ValueError: For a stage, block, head or query that is not there, or a block of a light model that does not
            relate every token.
    """
    blocks = getattr(backbone, f'blocks{stage}', None)
    if stage not in (3, 4) or blocks is None:
        raise ValueError(f'stage must be 3 or 4, the stages with attention, and be built; got {stage}')
    if not -len(blocks) <= block < len(blocks):
        raise ValueError(f'stage {stage} has {len(blocks)} blocks, numbered from 0; got {block}')
    module = blocks[block]
    if isinstance(module, HourglassBlock) and module.keep_ratio < 1:
        raise ValueError('this block of the light model relates only the most attended tokens; all are related by '
                         'block 0 of stage 3')
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
    if len(query) != len(shape) or not all(0 <= at < size for at, size in zip(query, shape)):
        raise ValueError(f'the map of stage {stage} has {tuple(shape)} tokens; got query {tuple(query)}')
    if head is not None and not 0 <= head < module.attn.num_heads:
        raise ValueError(f'the block has {module.attn.num_heads} heads, numbered from 0; got {head}')
    return _affinity(module, seen, tuple(shape), query, head)


def _affinity(module: GlobalBlock, seen: dict[str, Tensor], shape: tuple[int, ...], query: tuple[int, ...],
              head: int | None) -> Tensor:
    if isinstance(module, DividedBlock):
        frames, height, width = shape
        time, *place = query
        space = _row(module.attn, seen['attn'][time:time + 1], place[0] * width + place[1], head)[0]
        tracks = _row(module.t_attn, seen['t_attn'], time, head)
        return (tracks.T * space).view(shape)
    if module.window_size:
        size = module.window_size
        rows, columns = (-(-side // size) for side in shape)
        row, column = query[0] // size, query[1] // size
        window = row * columns + column
        values = _row(module.attn, seen['attn'][window:window + 1], query[0] % size * size + query[1] % size, head)[0]
        full = values.new_zeros(rows * size, columns * size)
        full[row * size:(row + 1) * size, column * size:(column + 1) * size] = values.view(size, size)
        return full[:shape[0], :shape[1]]
    index = 0
    for at, side in zip(query, shape):
        index = index * side + at
    first = int(isinstance(module, HourglassBlock))  # its class token comes first
    return _row(module.attn, seen['attn'], index + first, head)[0, first:].view(shape)


def _row(attn: Attention, qkv: Tensor, index: int, head: int | None) -> Tensor:
    """One row of the affinities for each of a batch of ``qkv``, shape ``(B, N)``."""
    B, N, _ = qkv.shape
    q, k, _ = qkv.float().view(B, N, 3, attn.num_heads, attn.head_dim).unbind(2)
    row = (torch.einsum('bhd,bnhd->bhn', q[:, index], k) * attn.scale).softmax(-1)
    return row.mean(1) if head is None else row[:, head]
