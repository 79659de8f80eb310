"""The light models' detection and segmentation configs: every published row has one, each is the recipe, and trains."""
import pytest
import torch

from mmuniformer.models.backbones.arch import LIGHT_ARCHS

from . import dense, dense_data, test_detection_data, test_segmentation_data
from .test_detection import SMALL
from .test_detection import inputs as detection_inputs
from .test_segmentation import FPN
from .test_segmentation import inputs as segmentation_inputs

FAMILY = 'uniformer_light'
META = {task: dense.metafile(task, FAMILY) for task in ('detection', 'segmentation')}
#: Task, name, size, drop path. From object_detection/exp_light and semantic_segmentation/fpn_seg/exp_light of the
#: authors' repository (Sense-X/UniFormer, 541decb) and arXiv 2201.09450, Sec. 4.3 and 4.4.
RECIPES = [
    ('detection', 'mask-rcnn_uniformer-xxs_fpn_1x_coco', 'xxs', 0.),
    ('detection', 'mask-rcnn_uniformer-xs_fpn_1x_coco', 'xs', 0.15),
    ('segmentation', 'uniformer-xxs_fpn_8xb4-80k_ade20k-512x512', 'xxs', 0.),
    ('segmentation', 'uniformer-xs_fpn_8xb4-80k_ade20k-512x512', 'xs', 0.1),
]
NAMES = [(task, name) for task, name, *_ in RECIPES]
XXS = {task: name for task, name, arch, _ in RECIPES if arch == 'xxs'}
#: The configs of UniFormer-S with the same recipe but for the backbone and the precision, tested against the facts.
SAME_RECIPE = dict(detection=SMALL, segmentation=FPN)
INPUTS = dict(detection=detection_inputs, segmentation=segmentation_inputs)
METRICS = {'box mAP': 'box AP', 'mask mAP': 'mask AP', 'mIoU': 'mIoU'}


class TestCompleteness:

    def test_every_config_is_in_the_metafile(self):
        for task, meta in META.items():
            assert set(dense.names(task, FAMILY)) == set(meta) == {name for each, name in NAMES if each == task}

    @pytest.mark.parametrize('task', META)
    def test_every_published_row_has_a_config(self, task, shared):
        rows = dense.published(shared, task, light=True)
        assert len(rows) == len(META[task]) == 2
        for row in rows:
            (model, ) = [model for model in META[task].values() if model['Metadata']['Architecture'] == row['model']]
            info = model['Metadata']
            assert info.get('Detector', info.get('Segmentor')) == row['section']
            assert info['Schedule'] == row['Lr Schd'].lower()
            figures = {key: value for result in model['Results'] for key, value in result['Metrics'].items()}
            assert figures == {metric: float(row[column]) for column, metric in METRICS.items() if row[column]}
            assert all(result['Source'] == 'published by the authors' for result in model['Results'])
            assert round(info['Parameters'] / 1e6, 1) == float(row['#params'].rstrip('M'))
            assert row['FLOPs'] == '-' and 'Published FLOPs' not in info
            for key, column in (('Weights', 'weights_gdrive_id'), ('Log', 'log_gdrive_id')):
                assert model['Converted From'][key] == f'https://drive.google.com/file/d/{row[column]}/view'

    @pytest.mark.parametrize('task', META)
    def test_readme(self, task):
        dense.check_readme(task, META[task], tuple(METRICS.values()), FAMILY)

    def test_model_index(self):
        modelindex = pytest.importorskip('modelindex')
        index = modelindex.load(str(dense.ROOT / 'model-index.yml'))
        index.build_models_with_collections()
        assert {model.name for model in index.models} >= {name for _, name in NAMES}


@pytest.mark.parametrize('task, name, arch, drop_path', RECIPES)
class TestSettings:

    def test_backbone(self, task, name, arch, drop_path):
        cfg = dense.config(task, name)
        backbone = cfg.model.backbone
        assert backbone.type == 'mmuniformer.UniFormerLight' and backbone.arch == arch and f'uniformer-{arch}_' in name
        assert backbone.get('drop_path_rate', 0.) == drop_path
        assert backbone.init_cfg == dict(type='Pretrained', checkpoint=f'checkpoints/uniformer_{arch}_224_in1k.pth')
        assert cfg.model.neck.in_channels == list(LIGHT_ARCHS[arch].embed_dims)
        assert set(backbone) <= {'type', 'arch', 'drop_path_rate', 'init_cfg'}
        assert 'mmuniformer' in cfg.custom_imports.imports and not cfg.custom_imports.allow_failed_imports

    def test_the_rest_is_the_recipe_of_the_others(self, task, name, arch, drop_path):
        cfg, other = (dense.config(task, each) for each in (name, SAME_RECIPE[task]))
        for each in (cfg, other):
            each.model.pop('backbone')
            each.model.neck.pop('in_channels')
        ours, theirs = (dense.plain(each.to_dict()) for each in (cfg, other))
        precision = (ours['optim_wrapper'].pop('type'), theirs['optim_wrapper'].pop('type'))
        assert precision == ('OptimWrapper', 'AmpOptimWrapper' if task == 'detection' else 'OptimWrapper')
        theirs['optim_wrapper'].pop('loss_scale', None)
        assert ours == theirs
        info = META[task][name]['Metadata']
        assert info['Batch Size'] == cfg.auto_scale_lr.base_batch_size
        assert info.get('Epochs') == cfg.train_cfg.get('max_epochs')
        assert info.get('Iterations') == cfg.train_cfg.get('max_iters')


@pytest.mark.parametrize('task, name', [pytest.param(*each, marks=pytest.mark.slow if each[0] == 'detection' else ())
                                        for each in NAMES])
def test_params_and_flops(task, name):
    dense.check_count(dense.config(task, name), META[task][name]['Metadata'])


@pytest.mark.parametrize('name', [name for task, name in NAMES if task == 'detection'])
def test_params(name):
    model = dense.build(dense.config('detection', name))
    assert sum(parameter.numel() for parameter in model.parameters()) == META['detection'][name]['Metadata'][
        'Parameters']


@pytest.mark.parametrize('task, name', NAMES)
def test_step(task, name):
    cfg = dense.tiny(dense.config(task, name))
    if task == 'segmentation':
        cfg.model.data_preprocessor.size = (64, 96)
    model = dense.build(cfg)
    optim_wrapper = dense.optimizer(cfg, model)
    for parameter, decay in dense.decays(model, optim_wrapper).items():
        norm = parameter.startswith('backbone.') and 'norm' in parameter
        assert decay == (1e-4 if task == 'segmentation' else 0 if norm else 0.05), parameter
    log = dense.check_step(model, optim_wrapper, INPUTS[task]((64, 96), (64, 96)))
    assert {'loss_rpn_cls', 'loss_cls', 'loss_bbox', 'loss_mask'} <= log.keys() or 'decode.loss_ce' in log


def test_detector_trains_and_tests_on_files(tmp_path):
    cfg = test_detection_data.config(dense_data.coco(tmp_path / 'coco'), XXS['detection'])
    runner = test_detection_data.run(cfg, tmp_path)
    runner.train()
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= runner.val_loop.run().keys()


def test_segmentor_trains_and_tests_on_files(tmp_path):
    cfg = test_segmentation_data.config(XXS['segmentation'], dense_data.ade(tmp_path / 'ade'))
    runner = test_segmentation_data.run(cfg, tmp_path)
    runner.train()
    assert 0 <= runner.val_loop.run()['mIoU'] <= 100


@pytest.mark.parametrize('task, sizes', [('detection', [(65, 33), (100, 47)]), ('segmentation', [(97, 131)] * 2)])
def test_any_size(task, sizes):
    cfg = dense.tiny(dense.config(task, XXS[task]))
    if task == 'detection':
        cfg.model.test_cfg.rcnn.score_thr = 0.
    model, seen = dense.build(cfg).eval(), []
    with torch.no_grad(), dense.shapes_into(model.backbone, seen):
        results = model.test_step(INPUTS[task](*sizes))
    assert all(side % 32 == 0 for side in seen[0][2:])
    for result, size in zip(results, sizes, strict=True):
        if task == 'detection':
            assert len(result.pred_instances) and result.pred_instances.masks.shape[1:] == size
        else:
            assert result.seg_logits.data.shape == (150, *size) and torch.isfinite(result.seg_logits.data).all()
