"""The segmentation configs: every published row has one, each is the recipe, and trains and tests in MMSegmentation."""
import pytest
import torch
from mmengine.structures import PixelData

from . import dense

META = dense.metafile('segmentation')
NAMES = dense.names('segmentation')
PUBLISHED = [name for name in NAMES if 'Results' in META[name]]
UPERNET = 'uniformer-small_upernet_8xb2-160k_ade20k-512x512'
FPN = 'uniformer-small_fpn_8xb4-80k_ade20k-512x512'
MASK2FORMER = 'uniformer-small-h14_mask2former_8xb2-160k_ade20k-512x512'
#: By part of the name: attention and window of stage 3.
ATTENTION = {'': ('global', None), '-h14': ('hybrid', 14), '-w32': ('window', 32), '-h32': ('hybrid', 32)}
#: Drop path by head and size. From semantic_segmentation of the authors' repository (Sense-X/UniFormer, ea77ae4) and
#: arXiv 2201.09450, Sec. 4.4.
DROP_PATH = {('upernet', 'small'): 0.25, ('upernet', 'base'): 0.4, ('fpn', 'small'): 0.1, ('fpn', 'base'): 0.2,
             ('mask2former', 'small'): 0.25}
RATIOS = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
SIZE = (64, 96)


def parts(name: str) -> tuple[str, str, str]:
    """Size, attention and head in a config's name."""
    backbone, head = name.split('_')[:2]
    arch, *attention = backbone.removeprefix('uniformer-').split('-')
    return arch, f'-{attention[0]}' if attention else '', head


def inputs(*sizes: tuple[int, int]) -> dict:
    from mmseg.structures import SegDataSample
    samples = []
    for size in sizes:
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=size, pad_shape=size))
        labels = torch.randint(0, 150, (1, *size))
        labels[:, :4] = 255
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return dict(inputs=[torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in sizes], data_samples=samples)


def tiny(name: str):
    cfg = dense.tiny(dense.config('segmentation', name))
    cfg.model.data_preprocessor.size = SIZE
    return cfg


class TestCompleteness:

    def test_every_config_is_in_the_metafile(self):
        assert set(NAMES) == set(META)

    def test_every_published_row_has_a_config(self, shared):
        rows = dense.published(shared, 'segmentation')
        assert len(rows) == len(PUBLISHED) == 16
        for row in rows:
            arch, _, attention = row['model'].partition('_')
            size = {'UniFormer-S': 'small', 'UniFormer-B': 'base'}[arch]
            head = {'UperNet': 'upernet', 'Semantic FPN': 'fpn'}[row['section']]
            found = [name for name in PUBLISHED
                     if parts(name) == (size, f'-{attention}' if attention else '', head)]
            assert len(found) == 1, row
            model = META[found[0]]
            expected = {'mIoU': float(row['mIoU'])}
            if row['MS mIoU']:
                expected['mIoU(ms+flip)'] = float(row['MS mIoU'])
            assert model['Results'][0]['Metrics'] == expected
            assert model['Results'][0]['Source'] == 'published by the authors'
            assert model['Metadata']['Architecture'] == arch
            assert model['Metadata']['Published FLOPs'] == int(row['FLOPs'].rstrip('G')) * 10**9
            assert round(model['Metadata']['Parameters'] / 1e6) == int(row['#params'].rstrip('M'))
            for key, column in (('Weights', 'weights_gdrive_id'), ('Log', 'log_gdrive_id')):
                link = model['Converted From'].get(key, '')
                assert row[column] in link if row[column] else not link

    def test_readme(self):
        dense.check_readme('segmentation', META, ('mIoU', 'mIoU(ms+flip)'))


@pytest.mark.parametrize('name', NAMES)
class TestSettings:

    def test_backbone(self, name):
        arch, attention, head = parts(name)
        cfg = dense.config('segmentation', name)
        dense.check_backbone(cfg, arch, *ATTENTION[attention], DROP_PATH[head, arch])
        words = {'global': 'global', 'window': 'window {}', 'hybrid': 'hybrid, window {}'}
        assert META[name]['Metadata']['Attention'] == words[ATTENTION[attention][0]].format(ATTENTION[attention][1])

    def test_only_windows_set_a_test_config_apart(self, name):
        trained = META[name]['Metadata'].get('Trained As')
        assert bool(trained) == (parts(name)[1] in ('-w32', '-h32'))
        if trained:
            test, train = (dense.config('segmentation', each).to_dict() for each in (name, trained))
            for cfg in (test, train):
                del cfg['model']['backbone']['init_cfg']
            assert test['model']['backbone'].pop('window_size') == 32
            assert test['model']['backbone'].pop('attention') in ('window', 'hybrid')
            assert test == train

    def test_schedule(self, name):
        cfg, head = dense.config('segmentation', name), parts(name)[2]
        info = META[name]['Metadata']
        assert cfg.train_dataloader.batch_size * 8 == info['Batch Size'] == cfg.auto_scale_lr.base_batch_size
        assert cfg.train_cfg.max_iters == info['Iterations']
        assert cfg.train_cfg.type == 'IterBasedTrainLoop' and cfg.train_dataloader.sampler.type == 'InfiniteSampler'
        assert cfg.optim_wrapper.type == 'OptimWrapper'
        if head == 'upernet':
            assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01)
            assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (160000, 2)
        elif head == 'fpn':
            assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=1e-4)
            assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (80000, 4)

    def test_data(self, name):
        cfg, head = dense.config('segmentation', name), parts(name)[2]
        for phase, part in (('train', 'training'), ('val', 'validation'), ('test', 'validation')):
            dataset = cfg[f'{phase}_dataloader'].dataset
            assert dataset.type == 'ADE20KDataset' and dataset.data_root == 'data/ade/ADEChallengeData2016'
            assert dataset.data_prefix == dict(img_path=f'images/{part}', seg_map_path=f'annotations/{part}')
        assert cfg.val_evaluator.iou_metrics == ['mIoU']
        assert tuple(cfg.model.data_preprocessor.size) == (512, 512)
        assert cfg.model.data_preprocessor.test_cfg.size_divisor == 32
        crop = next(each for each in cfg.train_pipeline if each.type == 'RandomCrop')
        assert tuple(crop.crop_size) == (512, 512)
        if head == 'mask2former':
            return
        for phase in ('val', 'test'):
            pipeline = cfg[f'{phase}_dataloader'].dataset.pipeline
            assert dense.plain(pipeline) == dense.plain(cfg.test_pipeline)
        steps = [each.type for each in cfg.test_pipeline]
        assert tuple(cfg.test_pipeline[1].scale) == (2048, 512) and cfg.test_pipeline[1].keep_ratio
        assert steps[2:-2] == (['ResizeToMultiple'] if head == 'fpn' else [])
        resizes, *others = cfg.tta_pipeline[1].transforms
        assert [tuple(each.scale) for each in resizes] == [(2048 * ratio, 512 * ratio) for ratio in RATIOS]
        assert [each.prob for each in others[-3]] == [0, 1]
        assert [each.type for each in others[0]] == (['ResizeToMultiple'] if head == 'fpn' else ['RandomFlip'] * 2)

    def test_heads(self, name):
        cfg, head = dense.config('segmentation', name), parts(name)[2]
        decode = cfg.model.decode_head
        assert decode.num_classes == 150
        if head == 'upernet':
            auxiliary = cfg.model.auxiliary_head
            assert (decode.type, decode.channels, decode.in_channels) == ('UPerHead', 512, [64, 128, 320, 512])
            assert (auxiliary.type, auxiliary.in_index, auxiliary.in_channels) == ('FCNHead', 2, 320)
            assert auxiliary.num_classes == 150 and auxiliary.loss_decode.loss_weight == 0.4
            assert decode.norm_cfg.type == auxiliary.norm_cfg.type == 'SyncBN'
        elif head == 'fpn':
            assert (decode.type, decode.channels, decode.norm_cfg.type) == ('FPNHead', 128, 'SyncBN')
            assert (cfg.model.neck.in_channels, cfg.model.neck.out_channels) == ([64, 128, 320, 512], 256)


def test_learning_rate_of_upernet():
    """As MMSegmentation 0.x, which the authors used, computes it: polynomial over the whole run, times the warm-up."""
    at = [0, 1, 750, 1499, 1500, 3000]
    for iteration, rate in zip(at, dense.learning_rates(dense.config('segmentation', UPERNET), at)):
        warm_up = min(1, 1e-6 + (1 - 1e-6) * iteration / 1499)
        assert rate == dense.approx(6e-5 * warm_up * (1 - iteration / 160000))


def test_learning_rate_of_fpn():
    at = [0, 1, 500, 999, 1000, 5000, 40000, 79999]
    for iteration, rate in zip(at, dense.learning_rates(dense.config('segmentation', FPN), at)):
        warm_up = min(1, 0.1 + 0.9 * iteration / 999)
        cosine = (1 + torch.cos(torch.tensor(torch.pi * iteration / 80000, dtype=torch.float64)).item()) / 2
        assert rate == pytest.approx(2e-4 * warm_up * cosine, rel=1e-3, abs=1e-11)


@pytest.mark.parametrize('name', PUBLISHED)
def test_params_and_flops(name):
    dense.check_count(dense.config('segmentation', name), META[name]['Metadata'])


def test_published_flops():
    """They are what is counted, but for the products of zeros in padded windows, and for one that can't be right."""
    for name in PUBLISHED:
        arch, attention, head = parts(name)
        info = META[name]['Metadata']
        if (head, arch, attention) == ('fpn', 'small', '-h14'):
            # All of stage 3 in windows of 14 counts 172.9.
            assert info['Published FLOPs'] == 172e9 and info['FLOPs'] > 191e9
            continue
        flops = info['FLOPs']
        if attention == '-h14':
            tokens, padded = 32 * 128, 42 * 140
            windowed = sum((index + 1) % 4 != 0 for index in range(dense.DEPTHS[arch][2]))
            flops -= windowed * 2 * 320 * 14**2 * (padded - tokens)
        assert flops == pytest.approx(info['Published FLOPs'], rel=3e-3, abs=1e9)


def test_mask2former_counts():
    model = dense.build(dense.config('segmentation', MASK2FORMER))
    assert sum(parameter.numel() for parameter in model.parameters()) == META[MASK2FORMER]['Metadata']['Parameters']


@pytest.mark.parametrize('name', NAMES)
def test_step(name):
    cfg, head = tiny(name), parts(name)[2]
    model = dense.build(cfg)
    optim_wrapper = dense.optimizer(cfg, model)
    decay = {'upernet': 0.01, 'fpn': 1e-4, 'mask2former': 0.05}[head]
    for parameter, value in dense.decays(model, optim_wrapper).items():
        if head != 'fpn' and parameter.startswith('backbone.') and 'norm' in parameter:
            assert value == 0, parameter
        elif head != 'mask2former':  # whose head has rules of its own
            assert value == decay, parameter
    log = dense.check_step(model, optim_wrapper, inputs(SIZE, SIZE))
    assert {'upernet': {'decode.loss_ce', 'aux.loss_ce'}, 'fpn': {'decode.loss_ce'},
            'mask2former': {'decode.loss_cls', 'decode.loss_mask', 'decode.loss_dice'}}[head] <= log.keys()


def test_mask2former_trains_the_backbone_slower():
    cfg = tiny(MASK2FORMER)
    model = dense.build(cfg)
    groups = dense.optimizer(cfg, model).param_groups
    of = {id(parameter): group['lr'] for group in groups for parameter in group['params']}
    for name, parameter in model.named_parameters():
        assert of[id(parameter)] == pytest.approx(1e-5 if name.startswith('backbone.') else 1e-4), name


@pytest.mark.parametrize('name', [UPERNET, FPN, MASK2FORMER])
def test_mixed_precision(name):
    model = dense.build(tiny(name)).train()
    data = model.data_preprocessor(inputs(SIZE, SIZE), True)
    with torch.autocast('cpu', torch.bfloat16):
        maps = model.extract_feat(data['inputs'])
        loss, _ = model.parse_losses(model(**data, mode='loss'))
    assert all(level.dtype in (torch.bfloat16, torch.float32) for level in maps)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in model.parameters())


def test_activation_checkpointing():
    dense.check_checkpointing(tiny(UPERNET), inputs(SIZE, SIZE))


class TestInference:

    @pytest.mark.parametrize('size', [(64, 96), (65, 33), (97, 131), (32, 300)])
    @pytest.mark.parametrize('name', [UPERNET, FPN, 'uniformer-small-h32_upernet_8xb2-160k_ade20k-512x512'])
    def test_any_size(self, name, size):
        model, seen = dense.build(tiny(name)).eval(), []
        with torch.no_grad(), dense.shapes_into(model.backbone, seen):
            results = model.test_step(inputs(size, size))
        assert [shape[0] for shape in seen] == [2] and all(side % 32 == 0 for side in seen[0][2:])
        for result in results:
            assert result.pred_sem_seg.data.shape == (1, *size)
            assert result.seg_logits.data.shape == (150, *size) and torch.isfinite(result.seg_logits.data).all()

    def test_sizes_after_each_other(self):
        """A model keeps nothing of the size it saw: the same image gives the same after another."""
        model = dense.build(tiny('uniformer-small-h14_upernet_8xb2-160k_ade20k-512x512')).eval()
        first = inputs((64, 96))
        with torch.no_grad():
            before = model.test_step(first)[0].seg_logits.data
            model.test_step(inputs((97, 40)))
            after = model.test_step(first)[0].seg_logits.data
        torch.testing.assert_close(before, after)
