"""Arguments of the backbones, their errors, and what training does to them."""
import pytest
import torch
from torch import nn

from mmuniformer.models import UniFormer, UniFormer3D
from mmuniformer.models.layers import GlobalBlock
from mmuniformer.registry import MODELS

TINY = dict(depths=[1, 2, 5, 2], embed_dims=[8, 16, 24, 32], head_dim=8)
IMAGE, CLIP = (2, 3, 64, 96), (2, 3, 4, 64, 64)
BACKBONES = [(UniFormer, IMAGE), (UniFormer3D, CLIP)]


def _params_m(model):
    return sum(p.numel() for p in model.parameters()) / 1e6


def _as_tuple(output):
    return output if isinstance(output, tuple) else (output, )


def _loss(output):
    """A loss that no normalisation makes constant."""
    return sum((m * torch.arange(m.numel()).view(m.shape).cos()).sum() for m in _as_tuple(output))


# ---------------------------------------------------------------- arguments
@pytest.mark.parametrize('cls', [UniFormer, UniFormer3D])
def test_registered_under_its_own_scope(cls):
    model = MODELS.build(dict(type=f'mmuniformer.{cls.__name__}', arch=TINY))
    assert type(model) is cls


@pytest.mark.parametrize('arch, millions', [('small', 21.03), ('base', 49.26)])
def test_published_size_of_the_dense_backbones(arch, millions):
    assert _params_m(UniFormer(arch)) == pytest.approx(millions, rel=5e-3)


def test_large_has_layer_scale_and_small_plus_a_conv_stem():
    assert hasattr(UniFormer('large').blocks3[0], 'gamma_1')
    assert isinstance(UniFormer('small_plus').patch_embed1.proj[0], nn.Conv2d)
    assert UniFormer('small_plus').patch_embed1.proj[0].kernel_size == (3, 3)


@pytest.mark.parametrize('kwargs, named', [
    (dict(arch='tiny'), r"'tiny'.*small, small_plus, base, large"),
    (dict(arch=dict(depths=[1, 1, 1, 1])), 'missing.*embed_dims'),
    (dict(arch=dict(TINY, dephts=3)), 'unknown.*dephts'),
    (dict(arch=dict(TINY, depths=[1, 2, 3])), 'four positive integers'),
    (dict(arch=dict(TINY, head_dim=7)), 'multiples of head_dim=7'),
    (dict(out_norm='GN'), "'LN'.*'BN'.*'GN'"),
    (dict(out_indices=(4, )), '0 to 3'),
    (dict(frozen_stages=5), 'to 4, got 5'),
    (dict(with_cp=(0, 0, 9, 0)), 'at most'),
])
@pytest.mark.parametrize('cls', [UniFormer, UniFormer3D])
def test_wrong_argument_is_named(cls, kwargs, named):
    with pytest.raises(ValueError, match=named):
        cls(**{'arch': TINY, **kwargs})


@pytest.mark.parametrize('cls, kwargs, named', [
    (UniFormer, dict(attention='joint'), "'global', 'window' or 'hybrid'"),
    (UniFormer, dict(attention='window', window_size=0), 'at least 1'),
    (UniFormer3D, dict(attention='hybrid'), "'joint' or 'divided'"),
    (UniFormer3D, dict(temporal_kernel=5), '1 or 3'),
    (UniFormer3D, dict(inflation='max'), "'mean' or 'center'"),
    (UniFormer3D, dict(arch='large', attention='divided'), 'no layer scale'),
])
def test_wrong_argument_of_one_backbone_is_named(cls, kwargs, named):
    with pytest.raises(ValueError, match=named):
        cls(**{'arch': TINY, **kwargs})


# ---------------------------------------------------------------- input and output
@pytest.mark.parametrize('size', [(32, 32), (64, 96), (33, 127), (70, 50)])
def test_image_maps_have_strides_4_to_32(size):
    maps = UniFormer(TINY).eval()(torch.rand(1, 3, *size))
    expected = [(1, dim, size[0] // s, size[1] // s) for dim, s in zip(TINY['embed_dims'], (4, 8, 16, 32))]
    assert [tuple(m.shape) for m in maps] == expected


@pytest.mark.parametrize('frames, expected', [(1, 1), (2, 1), (3, 2), (8, 4), (9, 5)])
def test_video_map_has_half_the_frames(frames, expected):
    output = UniFormer3D(TINY).eval()(torch.rand(1, 3, frames, 64, 40))
    assert tuple(output.shape) == (1, 32, expected, 2, 1)


def test_conv_stem_takes_any_size():
    maps = UniFormer(dict(TINY, conv_stem=True)).eval()(torch.rand(1, 3, 9, 21))
    assert [tuple(m.shape[2:]) for m in maps] == [(3, 6), (2, 3), (1, 2), (1, 1)]


def test_conv_stem_of_videos_halves_the_frames():
    output = UniFormer3D(dict(TINY, conv_stem=True)).eval()(torch.rand(1, 3, 8, 64, 64))
    assert tuple(output.shape) == (1, 32, 4, 2, 2)


@pytest.mark.parametrize('cls, shape, named', [
    (UniFormer, (1, 3, 31, 64), r'at least 32 .*multiples of 32.*\(31, 64\)'),
    (UniFormer3D, (1, 3, 4, 64, 16), r'at least 32 .*\(64, 16\)'),
    (UniFormer, (1, 4, 64, 64), r'\(B, 3, H, W\), got \(1, 4, 64, 64\)'),
    (UniFormer3D, (1, 3, 64, 64), r'\(B, 3, T, H, W\)'),
])
def test_wrong_input_is_named(cls, shape, named):
    with pytest.raises(ValueError, match=named):
        cls(TINY)(torch.rand(shape))


@pytest.mark.parametrize('cls, shape', BACKBONES)
@pytest.mark.parametrize('out_norm', ['LN', 'BN'])
def test_out_indices_choose_maps_and_drop_later_stages(cls, shape, out_norm):
    model = cls(TINY, out_indices=(0, 2), out_norm=out_norm).train()
    outputs = model(torch.rand(shape))
    assert [m.shape[1] for m in outputs] == [8, 24]
    _loss(outputs).backward()
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    assert not unused, 'parameters without gradient break DistributedDataParallel'


def test_a_window_of_the_whole_map_is_global():
    whole = UniFormer(TINY).eval()
    window = UniFormer(TINY, attention='window', window_size=4).eval()
    window.load_state_dict(whole.state_dict())
    x = torch.rand(1, 3, 64, 64)
    for a, b in zip(whole(x), window(x)):
        torch.testing.assert_close(a, b)


def test_hybrid_has_a_global_block_after_three_windowed():
    model = UniFormer('small', attention='hybrid', window_size=14)
    assert [block.window_size for block in model.blocks3] == [14, 14, 14, 0] * 2
    assert all(block.window_size == 0 for block in model.blocks4)


def test_divided_block_starts_without_time_attention():
    model = UniFormer3D(TINY, attention='divided').eval()
    x = torch.rand(CLIP)
    before = model(x)
    for stage in (model.blocks3, model.blocks4):
        for block in stage:
            assert not block.t_attn.qkv.weight.any() and (block.t_attn.proj.weight == 1).all()
            nn.init.zeros_(block.t_attn.proj.weight)
    torch.testing.assert_close(model(x), before)


# ---------------------------------------------------------------- initial values
@pytest.mark.parametrize('cls', [UniFormer, UniFormer3D])
def test_linear_weights_start_truncated_normal(cls):
    model = cls('small')
    block: GlobalBlock = model.blocks4[0]
    for linear in (block.attn.qkv, block.attn.proj, block.mlp.fc1, block.mlp.fc2):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)
        assert not linear.bias.any()


def test_init_cfg_of_another_kind_is_mmengines():
    model = UniFormer(TINY, init_cfg=dict(type='Constant', layer='Linear', val=0.5, bias=0.25))
    model.init_weights()
    assert (model.blocks3[0].attn.qkv.weight == 0.5).all() and (model.blocks3[0].attn.qkv.bias == 0.25).all()


# ---------------------------------------------------------------- training
@pytest.mark.parametrize('cls, shape', BACKBONES)
@pytest.mark.parametrize('frozen', [0, 1, 3])
def test_frozen_stages_do_not_change_in_training(cls, shape, frozen):
    model = cls(TINY, frozen_stages=frozen).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    _loss(model(torch.rand(shape))).backward()
    optimizer.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    frozen_names = ['patch_embed1.'] + [f'{part}{i}.' for i in range(1, frozen + 1)
                                        for part in ('patch_embed', 'blocks', 'norm')]
    assert not [k for k in changed if k.startswith(tuple(frozen_names))]
    assert any(k.startswith(f'blocks{max(frozen, 0) + 1}.') for k in changed)


@pytest.mark.parametrize('cls, shape', BACKBONES)
def test_norm_eval_keeps_running_statistics(cls, shape):
    x = torch.rand(shape)
    for norm_eval in (False, True):
        model = cls(TINY, norm_eval=norm_eval).train()
        model(x)
        counted = model.blocks1[0].norm1.num_batches_tracked.item()
        assert counted == (0 if norm_eval else 1)


@pytest.mark.parametrize('cls, shape', BACKBONES)
@pytest.mark.parametrize('with_cp', [True, (0, 1, 3, 0)])
def test_activation_checkpointing_changes_nothing_but_memory(cls, shape, with_cp):
    x = torch.rand(shape)
    plain, checkpointed, without_blocks = cls(TINY).train(), cls(TINY, with_cp=with_cp).train(), cls(TINY).train()
    checkpointed.load_state_dict(plain.state_dict())
    for stage in (1, 2, 3, 4):
        setattr(without_blocks, f'blocks{stage}', nn.ModuleList())
    saved = []
    for model in (plain, checkpointed, without_blocks):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            loss = _loss(model(x))
        saved.append(sum(sizes))
        loss.backward()
    for (name, a), b in zip(plain.named_parameters(), checkpointed.parameters()):
        torch.testing.assert_close(a.grad, b.grad, msg=lambda text, name=name: f'{name}: {text}')
    torch.testing.assert_close(dict(plain.named_buffers()), dict(checkpointed.named_buffers()))
    of_plain_blocks, of_checkpointed_blocks = saved[0] - saved[2], saved[1] - saved[2]
    assert of_checkpointed_blocks < of_plain_blocks * (0.1 if with_cp is True else 0.7)


def test_activation_checkpointing_with_sync_bn():
    x = torch.rand(2, 3, 64, 64)
    plain, checkpointed = (UniFormer(TINY, norm_cfg=dict(type='SyncBN'), with_cp=with_cp) for with_cp in (False, True))
    checkpointed.load_state_dict(plain.state_dict())
    for model in (plain, checkpointed):
        _loss(model(x)).backward()
    torch.testing.assert_close(dict(plain.named_buffers()), dict(checkpointed.named_buffers()))
    for a, b in zip(plain.parameters(), checkpointed.parameters()):
        torch.testing.assert_close(a.grad, b.grad)


def test_drop_path_grows_linearly():
    model = UniFormer(TINY, drop_path_rate=0.3)
    rates = [block.drop_path.rate for stage in (1, 2, 3, 4) for block in getattr(model, f'blocks{stage}')]
    assert rates == pytest.approx([0.3 * i / 9 for i in range(10)])


@pytest.mark.parametrize('kwargs', [dict(drop_path_rate=0.9), dict(drop_rate=0.5), dict(attn_drop_rate=0.5)])
@pytest.mark.parametrize('cls, shape', BACKBONES)
def test_regularisers_act_in_training_only(cls, shape, kwargs):
    model = cls(TINY, norm_eval=True, **kwargs)
    x = torch.rand(shape)
    model.eval()
    torch.testing.assert_close(_as_tuple(model(x)), _as_tuple(model(x)))
    model.train()
    assert not torch.equal(_as_tuple(model(x))[-1], _as_tuple(model(x))[-1])


@pytest.mark.parametrize('cls, shape', BACKBONES)
def test_sync_bn(cls, shape):
    model, plain = cls(TINY, norm_cfg=dict(type='SyncBN')).eval(), cls(TINY).eval()
    assert isinstance(model.blocks1[0].norm1, nn.SyncBatchNorm)
    model.load_state_dict(plain.state_dict())
    x = torch.rand(shape)
    torch.testing.assert_close(_as_tuple(model(x)), _as_tuple(plain(x)))
