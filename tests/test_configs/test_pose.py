"""The pose configs: every published row has one, each is the recipe, and trains and tests in MMPose."""
import pytest
import torch

from . import dense

META = dense.metafile('pose')
NAMES = dense.names('pose')
SMALL = 'td-hm_uniformer-small_8xb128-210e_coco-256x192'
#: Size and input: learning rate, persons a GPU, drop path, sigma of the heatmaps. From pose_estimation/exp of the
#: authors' repository (Sense-X/UniFormer, ea77ae4).
RECIPES = {
    ('small', '256x192'): (2e-3, 128, 0.2, 2),
    ('small', '384x288'): (2e-3, 128, 0.2, 3),
    ('small', '448x320'): (1e-3, 64, 0.2, 3),
    ('base', '256x192'): (2e-3, 128, 0.4, 2),
    ('base', '384x288'): (5e-4, 32, 0.5, 3),
    ('base', '448x320'): (5e-4, 32, 0.55, 3),
}
EPOCH = 10  # iterations, where schedules are followed


def parts(name: str) -> tuple[str, str]:
    """Size and input in a config's name."""
    return name.split('_')[1].removeprefix('uniformer-'), name.rpartition('-')[2]


def inputs(cfg, persons: int = 2) -> dict:
    from mmpose.testing import get_packed_inputs
    width, height = cfg.codec.input_size
    return get_packed_inputs(persons, img_shape=(height, width), input_size=(width, height),
                             heatmap_size=tuple(cfg.codec.heatmap_size))


class TestCompleteness:

    def test_every_config_is_in_the_metafile(self):
        assert set(NAMES) == set(META) and {parts(name) for name in NAMES} == set(RECIPES)

    def test_every_published_row_has_a_config(self, shared):
        rows = dense.published(shared, 'pose')
        assert len(rows) == len(META) == 6
        for row in rows:
            size = row['Input Size'] or row['Resolution']
            found = [model for model in META.values() if model['Metadata']['Architecture'] == row['model']
                     and model['Metadata']['Resolution'] == size]
            assert len(found) == 1, row
            model = found[0]
            columns = {'AP': 'AP', 'AP@0.5': 'AP50', 'AP@0.75': 'AP75', 'AR': 'AR'}
            assert model['Results'][0]['Metrics'] == {name: float(row[column]) for name, column in columns.items()}
            assert model['Results'][0]['Source'] == 'published by the authors'
            assert model['Metadata']['Published FLOPs'] == pytest.approx(float(row['FLOPs'].rstrip('G')) * 1e9)
            for key, column in (('Weights', 'weights_gdrive_id'), ('Log', 'log_gdrive_id')):
                assert row[column] in model['Converted From'][key]

    def test_weights_are_known(self):
        from mmuniformer.checkpoint import PUBLISHED
        for name, model in META.items():
            arch, size = parts(name)
            row = next(row for row in PUBLISHED if row.where == model['Weights'])
            assert (row.arch, 'x'.join(map(str, row.size))) == (arch, size)

    def test_readme(self):
        dense.check_readme('pose', META, ('AP', 'AP@0.5', 'AP@0.75', 'AR'))


@pytest.mark.parametrize('name', NAMES)
class TestSettings:

    def test_is_the_recipe(self, name):
        cfg, (arch, size) = dense.config('pose', name), parts(name)
        rate, persons, drop_path, sigma = RECIPES[arch, size]
        dense.check_backbone(cfg, arch, 'global', None, drop_path)
        assert tuple(cfg.model.backbone.out_indices) == (3, )
        assert cfg.train_dataloader.batch_size == persons and f'8xb{persons}-' in name
        assert cfg.auto_scale_lr.base_batch_size == 8 * persons == META[name]['Metadata']['Batch Size']
        assert cfg.optim_wrapper.type == 'AmpOptimWrapper' and cfg.optim_wrapper.loss_scale == 'dynamic'
        assert cfg.optim_wrapper.optimizer == dict(type='AdamW', lr=rate, betas=(0.9, 0.999), weight_decay=0.01)
        assert cfg.train_cfg.max_epochs == 210
        height, width = map(int, size.split('x'))
        assert dense.plain(cfg.codec) == dict(type='MSRAHeatmap', input_size=[width, height],
                                              heatmap_size=[width // 4, height // 4], sigma=sigma)
        at = [0, 250, 499, *(EPOCH * drop + offset for drop in (170, 200) for offset in (-1, 0)), EPOCH * 210 - 1]
        for iteration, value in zip(at, dense.learning_rates(cfg, at, EPOCH)):
            warm_up = min(1, 0.001 + 0.999 * iteration / 499)
            assert value == dense.approx(rate * warm_up * 0.1**sum(iteration >= EPOCH * drop for drop in (170, 200)))

    def test_the_codec_is_the_same_everywhere(self, name):
        cfg = dense.config('pose', name)
        for phase in ('train', 'val', 'test'):
            loader = cfg[f'{phase}_dataloader']
            pipeline = loader.dataset.pipeline
            crop = next(each for each in pipeline if each.type == 'TopdownAffine')
            assert tuple(crop.input_size) == tuple(cfg.codec.input_size)
            assert dense.plain(pipeline) == dense.plain(cfg['train_pipeline' if phase == 'train' else 'val_pipeline'])
        target = next(each for each in cfg.train_pipeline if each.type == 'GenerateTarget')
        assert dense.plain(target.encoder) == dense.plain(cfg.model.head.decoder) == dense.plain(cfg.codec)

    def test_head_and_test(self, name):
        cfg = dense.config('pose', name)
        head = cfg.model.head
        assert (head.type, head.in_channels, head.out_channels) == ('HeatmapHead', 512, 17)
        assert head.loss == dict(type='KeypointMSELoss', use_target_weight=True)
        assert cfg.model.test_cfg == dict(flip_test=True, flip_mode='heatmap', shift_heatmap=True)
        boxes = next(each for each in cfg.train_pipeline if each.type == 'RandomBBoxTransform')
        assert boxes.shift_prob == 0
        for phase in ('val', 'test'):
            dataset = cfg[f'{phase}_dataloader'].dataset
            assert dataset.bbox_file.endswith('COCO_val2017_detections_AP_H_56_person.json')
            assert dataset.ann_file == 'annotations/person_keypoints_val2017.json'
        assert cfg.val_evaluator.type == 'CocoMetric'


@pytest.mark.parametrize('name', NAMES)
def test_params_and_flops(name):
    cfg, info = dense.config('pose', name), META[name]['Metadata']
    layers = dense.check_count(cfg, info).head.deconv_layers
    assert [layer.out_channels for layer in layers if isinstance(layer, torch.nn.ConvTranspose2d)] == [256] * 3
    if parts(name) == ('base', '384x288'):  # the published figure is that of S at 448x320
        assert info['Published FLOPs'] == 14.8e9 and info['FLOPs'] > 22e9
    else:
        assert info['FLOPs'] == pytest.approx(info['Published FLOPs'], abs=0.05e9)


@pytest.mark.parametrize('name', NAMES)
def test_step(name):
    cfg = dense.tiny(dense.config('pose', name))
    model = dense.build(cfg)
    optim_wrapper = dense.optimizer(cfg, model)
    assert set(dense.decays(model, optim_wrapper).values()) == {0.01}
    log = dense.check_step(model, optim_wrapper, inputs(cfg))
    assert 'loss_kpt' in log


def test_mixed_precision():
    cfg = dense.tiny(dense.config('pose', SMALL))
    cfg.model.train_cfg = dict(compute_acc=False)  # which MMPose does in NumPy, where there is no bfloat16
    model = dense.build(cfg).train()
    data = model.data_preprocessor(inputs(cfg), True)
    with torch.autocast('cpu', torch.bfloat16):
        loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.dtype == torch.float32 for p in model.parameters())


def test_activation_checkpointing():
    cfg = dense.tiny(dense.config('pose', SMALL))
    dense.check_checkpointing(cfg, inputs(cfg))


@pytest.mark.parametrize('name', NAMES)
def test_inference(name):
    cfg = dense.tiny(dense.config('pose', name))
    model = dense.build(cfg).eval()
    for persons in (1, 3):
        with torch.no_grad():
            results = model.test_step(inputs(cfg, persons))
        assert len(results) == persons
        for result in results:
            assert result.pred_instances.keypoints.shape == (1, 17, 2)
            assert result.pred_instances.keypoint_scores.shape == (1, 17)
