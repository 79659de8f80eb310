"""The detection configs: every published row has one, each is the recipe, and trains and tests in MMDetection."""

import pytest
import torch

from . import dense

META = dense.metafile('detection')
NAMES = dense.names('detection')
PUBLISHED = [name for name in NAMES if 'Results' in META[name]]
SMALL = 'mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco'
FROZEN = 'mask-rcnn_uniformer-small-h14-bn-frozen_fpn_amp-1x_coco'
CASCADE = 'cascade-mask-rcnn_uniformer-small-h14_fpn_amp-ms-crop-3x_coco'
#: Size, drop path, blocks checkpointed in stage 3, schedule. From object_detection/exp of the authors' repository
#: (Sense-X/UniFormer, ea77ae4) and arXiv 2201.09450, Sec. 4.3.
RECIPES = {
    SMALL: ('small', 0.2, 8, '1x'),
    FROZEN: ('small', 0.2, 8, '1x'),
    'mask-rcnn_uniformer-small-h14_fpn_amp-ms-crop-3x_coco': ('small', 0.1, 8, '3x'),
    'mask-rcnn_uniformer-base-h14_fpn_amp-1x_coco': ('base', 0.3, 0, '1x'),
    'mask-rcnn_uniformer-base-h14_fpn_amp-ms-crop-3x_coco': ('base', 0.3, 20, '3x'),
    CASCADE: ('small', 0.2, 8, '3x'),
    'cascade-mask-rcnn_uniformer-base-h14_fpn_amp-ms-crop-3x_coco': ('base', 0.4, 20, '3x'),
}
EPOCH = 600  # iterations, where schedules are followed


def inputs(*sizes: tuple[int, int], objects=(3, 2)) -> dict:
    from mmdet.testing import demo_mm_inputs
    return demo_mm_inputs(
        len(sizes), [(3, *size) for size in sizes], num_items=list(objects), num_classes=80, with_mask=True)


class TestCompleteness:

    def test_every_config_is_in_the_metafile(self):
        assert set(NAMES) == set(META) == set(RECIPES)

    def test_every_published_row_has_a_config(self, shared):
        rows = dense.published(shared, 'detection')
        assert len(rows) == len(PUBLISHED) == 6
        for row in rows:
            arch, attention = row['model'].split('_')
            found = [META[name] for name in PUBLISHED if META[name]['Metadata']['Architecture'] == arch
                     and META[name]['Metadata']['Detector'] == row['section']
                     and META[name]['Metadata']['Schedule'] == row['Lr Schd']]
            assert len(found) == 1 and attention == 'h14', row
            model = found[0]
            box, mask = model['Results']
            assert box['Metrics'] == {'box AP': float(row['box mAP'])}
            assert mask['Metrics'] == {'mask AP': float(row['mask mAP'])}
            assert box['Source'] == mask['Source'] == 'published by the authors'
            assert model['Metadata']['Published FLOPs'] == int(row['FLOPs'].rstrip('G')) * 10**9
            assert round(model['Metadata']['Parameters'] / 1e6) == int(row['#params'].rstrip('M'))
            for key, column in (('Weights', 'weights_gdrive_id'), ('Log', 'log_gdrive_id')):
                assert row[column] in model['Converted From'][key]

    def test_readme(self):
        dense.check_readme('detection', META, ('box AP', 'mask AP'))


@pytest.mark.parametrize('name', NAMES)
class TestSettings:

    def test_is_the_recipe(self, name):
        cfg = dense.config('detection', name)
        arch, drop_path, checkpointed, schedule = RECIPES[name]
        dense.check_backbone(cfg, arch, 'hybrid', 14, drop_path, (0, 0, checkpointed, 0))
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.optim_wrapper.loss_scale == 'dynamic'
        assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05)
        assert cfg.optim_wrapper.get('clip_grad') is None
        assert cfg.train_dataloader.batch_size == 2 and cfg.auto_scale_lr.base_batch_size == 16
        epochs, drops = {'1x': (12, (8, 11)), '3x': (36, (27, 33))}[schedule]
        assert cfg.train_cfg.max_epochs == epochs == META[name]['Metadata']['Epochs']
        at = [0, 250, 499, *(EPOCH * drop + offset for drop in drops for offset in (-1, 0)), EPOCH * epochs - 1]
        for iteration, rate in zip(at, dense.learning_rates(cfg, at, EPOCH)):
            warm_up = min(1, 0.001 + 0.999 * iteration / 499)
            assert rate == dense.approx(1e-4 * warm_up * 0.1**sum(iteration >= EPOCH * drop for drop in drops))

    def test_data(self, name):
        cfg = dense.config('detection', name)
        for phase, ann in (('train', 'train2017'), ('val', 'val2017'), ('test', 'val2017')):
            dataset = cfg[f'{phase}_dataloader'].dataset
            assert dataset.type == 'CocoDataset' and dataset.data_root == 'data/coco/'
            assert dataset.ann_file == f'annotations/instances_{ann}.json' and dataset.data_prefix.img == f'{ann}/'
        assert cfg.val_evaluator.type == 'CocoMetric' and cfg.val_evaluator.metric == ['bbox', 'segm']
        assert cfg.model.data_preprocessor.pad_size_divisor == 32
        train = cfg.train_dataloader.dataset.pipeline
        assert dense.plain(train) == dense.plain(cfg.train_pipeline)
        resize = next((each for each in train if each.type == 'Resize'), None)
        if RECIPES[name][3] == '1x':
            assert tuple(resize.scale) == (1333, 800)
            return
        whole, crop = next(each for each in train if each.type == 'RandomChoice').transforms
        short = [(side, 1333) for side in (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)]
        assert resize is None and [tuple(scale) for scale in whole[0].scales] == short
        assert [tuple(scale) for scale in crop[0].scales] == [(400, 1333), (500, 1333), (600, 1333)]
        assert crop[1].type == 'RandomCrop' and crop[1].allow_negative_crop
        assert (crop[1].crop_type, tuple(crop[1].crop_size)) == ('absolute_range', (384, 600))
        assert [tuple(scale) for scale in crop[2].scales] == short

    def test_heads(self, name):
        cfg = dense.config('detection', name)
        heads = cfg.model.roi_head.bbox_head
        assert cfg.model.neck.in_channels == [64, 128, 320, 512]
        assert cfg.model.type == ('CascadeRCNN' if 'cascade' in name else 'MaskRCNN')
        if 'cascade' not in name:
            assert heads.type == 'Shared2FCBBoxHead'
            return
        stds = [0.1, 0.05, 0.033]
        for head, std in zip(heads, stds, strict=True):
            assert (head.type, head.num_shared_convs, head.num_shared_fcs) == ('ConvFCBBoxHead', 4, 1)
            assert head.norm_cfg.type == 'SyncBN' and head.loss_bbox == dict(type='GIoULoss', loss_weight=10.0)
            assert head.reg_decoded_bbox and not head.reg_class_agnostic
            assert head.bbox_coder.target_stds[0] == std


@pytest.mark.parametrize('name', [SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in (
    'mask-rcnn_uniformer-base-h14_fpn_amp-1x_coco', CASCADE,
    'cascade-mask-rcnn_uniformer-base-h14_fpn_amp-ms-crop-3x_coco'))])
def test_params_and_flops(name):
    dense.check_count(dense.config('detection', name), META[name]['Metadata'])


@pytest.mark.parametrize('name', NAMES)
def test_params(name):
    cfg = dense.config('detection', name)
    model = dense.build(cfg)
    assert sum(parameter.numel() for parameter in model.parameters()) == META[name]['Metadata']['Parameters']
    assert [len(getattr(model.backbone, f'blocks{stage}')) for stage in range(1, 5)] == list(
        dense.DEPTHS[cfg.model.backbone.arch])


@pytest.mark.parametrize('name', NAMES)
class TestTraining:

    def test_step(self, name):
        cfg = dense.tiny(dense.config('detection', name))
        model = dense.build(cfg)
        optim_wrapper = dense.optimizer(cfg, model)
        decays = dense.decays(model, optim_wrapper)
        norms = {name for name in decays if name.startswith('backbone.') and 'norm' in name}
        assert norms and all(decay == (0 if name in norms else 0.05) for name, decay in decays.items())
        log = dense.check_step(model, optim_wrapper, inputs((64, 96), (64, 96)))
        stages = ('s0.', 's1.', 's2.') if 'cascade' in name else ('', )
        assert {'loss_rpn_cls', 'loss_rpn_bbox', *(f'{stage}loss_{part}' for stage in stages
                                                   for part in ('cls', 'bbox', 'mask'))} <= log.keys()


def test_frozen_norms_stay_as_they_are():
    model = dense.build(dense.tiny(dense.config('detection', FROZEN)))
    optim_wrapper = dense.optimizer(dense.config('detection', FROZEN), model)
    norms = [module for module in model.backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    before = [{key: value.clone() for key, value in norm.state_dict().items()} for norm in norms]
    dense.check_step(model, optim_wrapper, inputs((64, 96), (64, 96)))
    assert len(norms) == 4
    for norm, state in zip(norms, before):
        assert all(torch.equal(value, state[key]) for key, value in norm.state_dict().items())


def test_mixed_precision():
    """Features in bfloat16, losses in float32: MMCV has no operators on boxes for bfloat16 on the CPU."""
    model = dense.build(dense.tiny(dense.config('detection', SMALL))).train()
    data = model.data_preprocessor(inputs((64, 96), (64, 96)), True)
    with torch.autocast('cpu', torch.bfloat16):
        maps = model.extract_feat(data['inputs'])
    assert all(level.dtype == torch.bfloat16 for level in maps)
    maps = [level.float() for level in maps]
    samples = data['data_samples']
    losses, proposals = model.rpn_head.loss_and_predict(maps, samples, proposal_cfg=model.train_cfg.rpn_proposal)
    losses.update(model.roi_head.loss(maps, proposals, samples))
    loss, _ = model.parse_losses(losses)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in model.backbone.parameters())


def test_activation_checkpointing():
    dense.check_checkpointing(dense.tiny(dense.config('detection', SMALL)), inputs((96, 96), (96, 96)))


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    cfg = dense.tiny(dense.config('detection', SMALL))
    cfg.model.test_cfg.rcnn.score_thr = 0.
    return dense.build(cfg).eval()


class TestInference:

    @pytest.mark.parametrize('sizes', [
        [(64, 96)], [(65, 33), (100, 47)], [(224, 224)], [(33, 290), (64, 64), (97, 31)]])
    def test_any_sizes_in_a_batch(self, model, sizes):
        seen = []
        with torch.no_grad(), dense.shapes_into(model.backbone, seen):
            results = model.test_step(inputs(*sizes, objects=(1, ) * len(sizes)))
        (shape, ) = seen
        assert shape[0] == len(sizes) and all(side % 32 == 0 for side in shape[2:])
        for result, (height, width) in zip(results, sizes, strict=True):
            boxes = result.pred_instances.bboxes
            assert len(boxes) and result.pred_instances.masks.shape == (len(boxes), height, width)
            assert (boxes >= 0).all() and (boxes[:, 2] <= width).all() and (boxes[:, 3] <= height).all()

    def test_padding_is_the_same_alone_and_in_a_batch(self, model):
        """An image that fills the batch gets the boxes that it gets alone."""
        both = inputs((64, 96), (40, 50), objects=(1, 1))
        alone = dict(inputs=both['inputs'][:1], data_samples=both['data_samples'][:1])
        with torch.no_grad():
            expected, (found, _) = model.test_step(alone)[0], model.test_step(both)
        torch.testing.assert_close(found.pred_instances.bboxes, expected.pred_instances.bboxes, rtol=1e-3, atol=1e-2)
