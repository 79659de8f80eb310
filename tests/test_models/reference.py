"""UniFormer written plainly from the papers' equations, as functions of a state dict: what the fast code must equal.

Everything is channels-first, every attention matrix is materialised, nothing is shared with the package.
"""
import torch
import torch.nn.functional as F


def _conv(x, p, name, **kwargs):
    weight = p[f'{name}.weight']
    conv = F.conv3d if weight.ndim == 5 else F.conv2d
    return conv(x, weight, p[f'{name}.bias'], **kwargs)


def _batch_norm(x, p, name, training):
    stats = (None, None) if training else (p[f'{name}.running_mean'], p[f'{name}.running_var'])
    return F.batch_norm(x, *stats, p[f'{name}.weight'], p[f'{name}.bias'], training=training)


def _layer_norm(x, p, name, eps=1e-6):
    return F.layer_norm(x, x.shape[-1:], p[f'{name}.weight'], p[f'{name}.bias'], eps)


def _linear(x, p, name):
    return x @ p[f'{name}.weight'].T + p[f'{name}.bias']


def _channel_layer_norm(x, p, name, eps):
    return _layer_norm(x.movedim(1, -1), p, name, eps).movedim(-1, 1)


def _self_attention(tokens, p, name, head_dim):
    """Eq. 8: for each head, a softmax over all tokens of the scaled products of queries and keys."""
    heads = []
    q, k, v = _linear(tokens, p, f'{name}.qkv').chunk(3, -1)
    for start in range(0, tokens.shape[-1], head_dim):
        part = slice(start, start + head_dim)
        affinity = torch.softmax(q[..., part] @ k[..., part].transpose(-1, -2) / head_dim**0.5, -1)
        heads.append(affinity @ v[..., part])
    return _linear(torch.cat(heads, -1), p, f'{name}.proj')


def _ffn_tokens(tokens, p, name):
    return _linear(F.gelu(_linear(tokens, p, f'{name}.fc1')), p, f'{name}.fc2')


def _dpe(x, p, name):
    return x + _conv(x, p, f'{name}.pos_embed', padding=1, groups=x.shape[1])


def _local_block(x, p, name, training):
    x = _dpe(x, p, name)
    y = _conv(_batch_norm(x, p, f'{name}.norm1', training), p, f'{name}.conv1')
    y = _conv(y, p, f'{name}.attn', padding=2, groups=x.shape[1])
    scale = [p.get(f'{name}.gamma_{i}', 1.) for i in (1, 2)]
    x = x + scale[0] * _conv(y, p, f'{name}.conv2')
    y = F.gelu(_conv(_batch_norm(x, p, f'{name}.norm2', training), p, f'{name}.mlp.fc1'))
    return x + scale[1] * _conv(y, p, f'{name}.mlp.fc2')


def _windowed(tokens_map, window, attend):
    """Attention of each window by itself, of a map (B, H, W, C) with zeros at its right and bottom."""
    B, H, W, C = tokens_map.shape
    rows, columns = -(-H // window), -(-W // window)
    filled = tokens_map.new_zeros(B, rows * window, columns * window, C)
    filled[:, :H, :W] = tokens_map
    out = torch.zeros_like(filled)
    for i in range(rows):
        for j in range(columns):
            cut = (slice(None), slice(i * window, (i + 1) * window), slice(j * window, (j + 1) * window))
            out[cut] = attend(filled[cut].reshape(B, window * window, C)).reshape(B, window, window, C)
    return out[:, :H, :W]


def _global_block(x, p, name, head_dim, window):
    x = _dpe(x, p, name).movedim(1, -1)
    scale = [p.get(f'{name}.gamma_{i}', 1.) for i in (1, 2)]
    normed = _layer_norm(x, p, f'{name}.norm1')

    def attend(tokens):
        return _self_attention(tokens, p, f'{name}.attn', head_dim)

    related = _windowed(normed, window, attend) if window else attend(normed.flatten(1, -2)).reshape(x.shape)
    x = x + scale[0] * related
    x = x + scale[1] * _ffn_tokens(_layer_norm(x, p, f'{name}.norm2'), p, f'{name}.mlp')
    return x.movedim(-1, 1)


def _divided_block(x, p, name, head_dim):
    x = _dpe(x, p, name).movedim(1, -1)
    B, T, H, W, C = x.shape
    over_time = torch.zeros_like(x)
    for i in range(H):
        for j in range(W):
            track = x[:, :, i, j]
            related = _self_attention(_layer_norm(track, p, f'{name}.t_norm'), p, f'{name}.t_attn', head_dim)
            over_time[:, :, i, j] = track + related
    over_space = torch.stack([
        _self_attention(_layer_norm(over_time[:, t].reshape(B, H * W, C), p, f'{name}.norm1'), p, f'{name}.attn',
                        head_dim).reshape(B, H, W, C) for t in range(T)
    ], 1)
    x = x + over_space
    x = x + _ffn_tokens(_layer_norm(x, p, f'{name}.norm2'), p, f'{name}.mlp')
    return x.movedim(-1, 1)


def _hourglass_block(x, p, name, cls_token, score, keep, head_dim):
    """Sec. 3.5, one sample after another, with the whole attention matrix and Python's own sorting."""
    x = _dpe(x, p, name).movedim(1, -1)
    shape = x.shape
    scale = [p.get(f'{name}.gamma_{i}', torch.ones(1, dtype=x.dtype)) for i in (1, 2)]
    maps, classes, scores = [], [], []
    for tokens, cls_one, score_one in zip(x.flatten(1, -2), cls_token, [None] * len(x) if score is None else score):
        N = len(tokens)
        if keep == 1:
            kept, rest = list(range(N)), []
            sequence = torch.cat([cls_one, tokens])
        else:
            order = sorted(range(N), key=lambda i: -score_one[i].item())
            kept, rest = order[:int(N * keep)], order[int(N * keep):]
            weights = score_one[rest] / score_one[rest].sum()
            sequence = torch.cat([cls_one, tokens[kept], (weights[:, None] * tokens[rest]).sum(0, keepdim=True)])
        normed = _layer_norm(sequence, p, f'{name}.norm1')
        q, k, _ = _linear(normed, p, f'{name}.attn.qkv').chunk(3, -1)
        attended = torch.stack([
            torch.softmax(q[0, start:start + head_dim] @ k[:, start:start + head_dim].T / head_dim**0.5, -1)
            for start in range(0, q.shape[-1], head_dim)
        ]).mean(0)[1:1 + len(kept)]
        related = _self_attention(normed[None], p, f'{name}.attn', head_dim)[0]
        sequence = sequence + scale[0] * related
        fed = _ffn_tokens(_layer_norm(sequence, p, f'{name}.norm2'), p, f'{name}.mlp')
        sequence = sequence + scale[1] * fed
        new, new_score = list(tokens), [None] * N
        for position, i in enumerate(kept):
            new[i] = sequence[1 + position]
            before = 0 if score_one is None else (1 - keep) * score_one[i]
            new_score[i] = before + keep * attended[position]
        for i in rest:
            if f'{name}.gamma_3' in p:
                received = p[f'{name}.gamma_3'] * (related[-1] + fed[-1])
            else:
                received = scale[0] * related[-1] + scale[1] * fed[-1]
            new[i], new_score[i] = tokens[i] + received, score_one[i]
        maps.append(torch.stack(new))
        classes.append(sequence[:1])
        scores.append(torch.stack(new_score))
    return torch.stack(maps).reshape(shape).movedim(-1, 1), torch.stack(classes), torch.stack(scores)


def _embed(x, p, stage, temporal_kernel):
    name = f'patch_embed{stage}'
    kernel = 4 if stage == 1 else 2
    if x.ndim == 4:
        x = _conv(x, p, f'{name}.proj', stride=kernel)
    elif stage == 1:
        x = _conv(x, p, f'{name}.proj', stride=(2, 4, 4), padding=(1, 0, 0))
    else:
        x = _conv(x, p, f'{name}.proj', stride=(1, 2, 2), padding=(temporal_kernel // 2, 0, 0))
    return _channel_layer_norm(x, p, f'{name}.norm', 1e-5)


def _conv_embed(x, p, stage, training):
    name = f'patch_embed{stage}.proj'
    first = (1, 2, 2) if x.ndim == 5 else 2
    x = _batch_norm(_conv(x, p, f'{name}.0', stride=first, padding=1), p, f'{name}.1', training)
    if stage == 1:
        x = _conv(F.gelu(x), p, f'{name}.3', stride=2, padding=1)
        x = _batch_norm(x, p, f'{name}.4', training)
    return x


def uniformer(x, p, *, head_dim, out_norm, training, windows=None, divided=False, temporal_kernel=1,
              keep_ratios=None):
    """The maps of the four stages.

    Args:
        x: Input (B, 3, [T,] H, W).
        p: State dict; tensors of it may require gradients.
        windows: For each block of stage 3 its window's side, 0 for the whole map; None for no windows.
        training: Whether BatchNorms use the batch's statistics.
        keep_ratios: For each block of stages 3 and 4 its keep ratio, of a light model.
    """
    maps = []
    cls_token = p['cls_token'].expand(len(x), -1, -1) if keep_ratios else None
    score, map_shape = None, ()
    for stage in (1, 2, 3, 4):
        if f'patch_embed{stage}.proj.0.weight' in p:
            x = _conv_embed(x, p, stage, training)
        else:
            x = _embed(x, p, stage, temporal_kernel)
        if stage == 4 and keep_ratios:
            cls_token = _linear(cls_token, p, 'cls_upsample')
            total, pool = score.sum(1, keepdim=True), F.avg_pool3d if x.ndim == 5 else F.avg_pool2d
            score = pool(score.reshape(len(x), 1, *map_shape), (1, 2, 2)[5 - x.ndim:]).flatten(1)
            score = score * total / score.sum(1, keepdim=True)
        index = 0
        while f'blocks{stage}.{index}.pos_embed.weight' in p:
            name = f'blocks{stage}.{index}'
            if stage <= 2:
                x = _local_block(x, p, name, training)
            elif keep_ratios:
                x, cls_token, score = _hourglass_block(x, p, name, cls_token, score, keep_ratios[stage - 3][index],
                                                       head_dim)
            elif divided:
                x = _divided_block(x, p, name, head_dim)
            else:
                x = _global_block(x, p, name, head_dim, windows[index] if windows and stage == 3 else 0)
            index += 1
        map_shape = x.shape[2:]
        if out_norm == 'LN':
            maps.append(_channel_layer_norm(x, p, f'norm{stage}', 1e-6))
        else:
            maps.append(_batch_norm(x, p, 'norm', training) if stage == 4 else x)
    return maps
