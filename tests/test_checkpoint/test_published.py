"""The table of published weights, and the guard over what their shapes hide."""
import csv
import hashlib
import re

import pytest
import torch

from mmuniformer.checkpoint import PUBLISHED, CheckpointError, load
from mmuniformer.checkpoint.published import find_by_content, find_by_name
from mmuniformer.models import UniFormer, UniFormer3D
from mmuniformer.models.backbones.arch import ARCHS, LIGHT_ARCHS

from .conftest import full_size, image_backbone, weights

OLD_HEADS = ['uniformer_small_plus_in1k.pth', 'uniformer_small_tl_224.pth', 'uniformer_small_plus_tl_224.pth',
             'uniformer_base_tl_224.pth', 'uniformer_small_tl_384.pth', 'uniformer_small_plus_tl_384.pth',
             'uniformer_base_tl_384.pth']


@pytest.fixture(scope='module')
def small32():
    return UniFormer(dict(depths=(3, 4, 8, 3), embed_dims=(64, 128, 320, 512), head_dim=32), out_norm='BN',
                     out_indices=(3, ))


def test_wide_heads_into_narrow(save, small32):
    path = save({'model': full_size('small')}, 'uniformer_small_in1k.pth')
    with pytest.raises(CheckpointError) as caught:
        load(small32, path)
    assert str(caught.value).endswith(
        'the checkpoint is the published small with head_dim=64, image, 224 pixels, trained on ImageNet-1K, '
        'the model has head_dim=32. Their shapes are the same, so it would load and give bad scores. '
        "Use UniFormer with arch='small'")


def test_narrow_heads_into_wide(save, small, small32):
    path = save({'model': full_size('small')}, 'uniformer_small_tl_224.pth')
    before = small.norm.weight.clone()
    with pytest.raises(CheckpointError, match=r'the published small with head_dim=32, .* the model has head_dim=64. .*'
                       r'Use UniFormer with arch=dict\(depths=\(3, 4, 8, 3\), embed_dims=\(64, 128, 320, 512\), '
                       r'head_dim=32\)$'):
        load(small, path)
    assert torch.equal(small.norm.weight, before)
    report = load(small32, path)
    assert report.published.file == 'uniformer_small_tl_224.pth'
    assert 'published as: small with head_dim=32, image, 224 pixels, trained on ImageNet-1K, token labeling' in str(
        report)


def test_the_advice_works(save):
    """The arch that the message names takes the file."""
    for name in ('uniformer_small_tl_384.pth', 'uniformer_small_plus_in1k.pth'):
        row = find_by_name(name)
        path = save({'model': full_size(row.arch)}, name)
        with pytest.raises(CheckpointError) as caught:
            load(UniFormer(row.arch, out_norm='BN', out_indices=(3, )), path)
        arch = eval(re.search(r'Use UniFormer with arch=(dict\(.*\))$', str(caught.value))[1])
        report = load(UniFormer(arch, out_norm='BN', out_indices=(3, )), path, strict=True)
        assert report.published is row and arch['head_dim'] == 32


def test_into_a_video_model(save):
    model = UniFormer3D('small')
    path = save({'model': full_size('small')}, 'uniformer_small_tl_384.pth')
    with pytest.raises(CheckpointError, match='the model has head_dim=64.* Use UniFormer3D with arch=dict'):
        load(model, path)


def test_renamed_file_is_known_by_its_content(small, small32, monkeypatch, save):
    path = save({'model': full_size('small')}, 'my_backbone.pth')
    digest = hashlib.md5(path.read_bytes()).hexdigest()
    assert find_by_content(path) is None

    row = next(row for row in PUBLISHED if row.file == 'uniformer_small_tl_224.pth')
    table = [type(row)(**{**vars(row), 'md5': digest}) if other is row else other for other in PUBLISHED]
    monkeypatch.setattr('mmuniformer.checkpoint.published.PUBLISHED', table)
    with pytest.raises(CheckpointError, match='the published small with head_dim=32'):
        load(small, path)
    table[PUBLISHED.index(row)] = type(row)(**{**vars(row), 'md5': '',
                                               'sha256': hashlib.sha256(path.read_bytes()).hexdigest()[:8]})
    with pytest.raises(CheckpointError, match='the published small with head_dim=32'):
        load(small, path)
    assert load(small32, path).published.head_dim == 32


def test_own_file_of_a_published_name(save):
    """What is in it shows that it is another network: it loads as what it is."""
    path = save(weights(image_backbone()), 'uniformer_small_tl_224.pth')
    assert load(image_backbone(), path).published is None


def test_another_arch_is_named(save, small):
    path = save({'model': full_size('base')}, 'uniformer_base_in1k.pth')
    with pytest.raises(CheckpointError, match=r'the checkpoint \(base with head_dim=64, image, 224 pixels, trained on '
                       r"ImageNet-1K\) does not fit the model: depths.* Use UniFormer with arch='base'$"):
        load(small, path)


def test_width_of_heads_is_named_with_the_arch(save, small):
    path = save({'model': full_size('base')}, 'uniformer_base_tl_224.pth')
    with pytest.raises(CheckpointError, match=r'depths: .* Use UniFormer with arch=dict\(.*, head_dim=32\)$'):
        load(small, path)


def test_layer_scale_is_named(save):
    """Base with layer scale is a published file, but no arch of its own."""
    path = save({'model': full_size(ARCHS['base'].with_(layer_scale=1e-6))}, 'uniformer_base_ls_in1k.pth')
    with pytest.raises(CheckpointError, match=r'Use UniFormer with arch=dict\(depths=\(5, 8, 20, 7\), .*, '
                       r'layer_scale=1e-06\)$'):
        load(UniFormer('base', out_norm='BN', out_indices=(3, )), path)


# ---- the table


def test_rows_are_sound():
    for row in PUBLISHED:
        assert row.task in ('image', 'video', 'detection', 'segmentation', 'pose')
        arch = {**ARCHS, **LIGHT_ARCHS}[row.arch]
        assert all(dim % row.head_dim == 0 for dim in arch.embed_dims[2:])
        assert row.head_dim == arch.head_dim or row.file in OLD_HEADS
        assert bool(row.drive) != bool(row.url), row  # the authors' or OpenMMLab's
        assert not (row.hub or row.url) or row.file, row
        assert re.fullmatch(r'([0-9a-f]{32})?', row.md5) and re.fullmatch(r'([0-9a-f]{8,64})?', row.sha256)
        assert row.task != 'video' or row.frames
        if row.url:  # OpenMMLab puts the beginning of the hash in the name
            assert f'-{row.sha256}' in row.file
    for attribute in ('file', 'drive', 'md5', 'sha256'):
        values = [getattr(row, attribute) for row in PUBLISHED if getattr(row, attribute)]
        assert len(values) == len(set(values)), attribute


def test_heads_of_the_first_release():
    """The release says so of its S-dagger, and of its token labeling models but the large one."""
    assert sorted(row.file for row in PUBLISHED if row.head_dim == 32 and row.arch in ARCHS) == sorted(OLD_HEADS)


ARCH_OF = {'XXS': 'xxs', 'XS': 'xs', 'S': 'small', 'S†': 'small_plus', 'B': 'base', 'B+Layer Scale': 'base',
           'L+Layer Scale': 'large'}
TASKS = {'image classification': 'image', 'video classification': 'video'}


def test_every_published_row_is_in_the_table(shared):
    with open(shared / 'reference' / 'official_results.csv', encoding='utf-8') as file:
        results = [row for row in csv.DictReader(file) if row['weights_gdrive_id']]
    table = {row.drive: row for row in PUBLISHED if row.drive}
    assert set(table) == {result['weights_gdrive_id'] for result in results}
    for result in results:
        row = table[result['weights_gdrive_id']]
        assert row.arch == ARCH_OF[result['model'].removeprefix('UniFormer-').split('_')[0]]
        assert row.layer_scale == (result['model'] == 'UniFormer-B+Layer Scale')
        assert row.task == TASKS.get(result['task'], result['task'])
        if row.task == 'video':
            assert result['section'] in row.data
            assert not result['Pretrain'] or f'Kinetics-{result["Pretrain"][1:]}' in row.data
            frames = result['#Frame'].split('x')[0]
            assert row.frames in (f'{frames}x{result["Sampling Stride"]}', f'{frames}x{result["Resolution"]}',
                                  f'{frames} sparse')
        if row.task == 'image':
            size = result['Resolution'] or re.search(r'\((\d+x\d+)\)', result['section'])[1]
            assert size == f'{row.size}x{row.size}'
            # The larger models are token labeling's, fine-tuned.
            labeled = 'Token' in result['section'] or 'fine-tuning' in result['section']
            assert ('token labeling' in row.data) == labeled
