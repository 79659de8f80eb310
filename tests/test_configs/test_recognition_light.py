"""The light models' video configs: every published row has one, and each is the recipe it names."""
import csv
import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmuniformer  # noqa: F401
from mmuniformer.analysis import count
from mmuniformer.engine.launch import fit_to_machine
from mmuniformer.models.backbones.arch import LIGHT_ARCHS, resolve

from .test_recognition_pipelines import data  # noqa: F401  (a fixture: two videos and their list)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs/recognition/uniformer_light'
META = {model['Name']: model for model in yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']}
NAMES = sorted(META)


@pytest.fixture(autouse=True)
def _mmaction():
    init_default_scope('mmaction')
    import mmaction.datasets
    import mmaction.models  # noqa: F401


def config(name: str) -> Config:
    return Config.fromfile(str(ROOT / META[name]['Config']))


def step(pipeline, kind: str) -> dict:
    """The step of a pipeline, or of what is repeated in it."""
    steps = list(pipeline)
    for each in pipeline:
        steps += each.get('transforms', [])
    return next((each for each in steps if kind in each['type']), None)


class TestCompleteness:

    def test_every_config_is_in_the_metafile(self):
        assert {file.stem for file in FOLDER.glob('*.py')} == set(META) and len(META) == 8

    def test_every_published_row_has_a_config(self, shared):
        with open(shared / 'reference/official_results.csv') as file:
            rows = [row for row in csv.DictReader(file) if row['task'] == 'video classification'
                    and row['model'] in ('UniFormer-XXS', 'UniFormer-XS')]
        assert len(rows) == len(META)
        for row in rows:
            frames, crops, clips = map(int, row['#Frame'].split('x'))
            model, = [model for model in META.values()
                      if row['weights_gdrive_id'] in model['Converted From']['Weights']]
            meta = model['Metadata']
            assert (meta['Architecture'], meta['Frame'], meta['Test Crops'], meta['Test Clips']) == (
                row['model'], frames, crops, clips)
            assert meta['Resolution'] == f"{row['Resolution']}x{row['Resolution']}"
            assert model['Results'][0]['Metrics'] == {'Top 1 Accuracy': float(row['Top1'])}
            assert meta['FLOPs'] == round(float(row['FLOPs'].rstrip('G')) * 1e9)
            assert row['log_gdrive_id'] in model['Converted From']['Log']

    def test_model_index(self):
        modelindex = pytest.importorskip('modelindex')
        index = modelindex.load(str(ROOT / 'model-index.yml'))
        index.build_models_with_collections()
        assert {model.name for model in index.models} >= set(META)

    def test_readme(self):
        lines = (FOLDER / 'README.md').read_text().splitlines()
        for name, model in META.items():
            row, = [line for line in lines if f'({name}.py)' in line]
            cells = [cell.strip() for cell in row.split('|')]
            meta = model['Metadata']
            assert str(model['Results'][0]['Metrics']['Top 1 Accuracy']) in cells
            assert f"{meta['Frame']}x{meta['Test Crops']}x{meta['Test Clips']}" in cells
            assert meta['FLOPs'] / 1e9 == float(cells[7]) and f"{meta['Parameters'] / 1e6:.1f} M" in cells


@pytest.mark.parametrize('name', NAMES)
class TestSettings:

    def test_follows_its_name_and_metafile(self, name):
        cfg, meta = config(name), META[name]['Metadata']
        side, frames = int(meta['Resolution'].split('x')[0]), meta['Frame']
        assert f'_u{frames}-{side}_' in name and Path(META[name]['Config']).stem == name
        assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=meta['Batch Size'])
        assert cfg.train_dataloader.batch_size * 8 == meta['Batch Size'] and cfg.train_cfg.max_epochs == meta['Epochs']
        for phase in ('train', 'val', 'test'):
            pipeline = cfg[f'{phase}_dataloader'].dataset.pipeline
            assert pipeline == cfg[f'{phase}_pipeline'], 'what inferencers read is not what the data loader does'
            sampling = dict(type='UniformSample', clip_len=frames, num_clips=1)
            assert step(pipeline, 'Sample') == (sampling if phase == 'train' else dict(sampling, test_mode=True))
            if phase != 'train':
                assert step(pipeline, 'Crop') == dict(type='CenterCrop', crop_size=side)
                assert step(pipeline, 'Resize').scale == (-1, side)
        size = meta['Architecture'].split('-')[1].lower()
        weights = cfg.model.backbone.init_cfg.checkpoint
        assert weights == f'checkpoints/uniformer_{size}_{side}_in1k.pth' and f'uniformer-{size}_' in name
        assert cfg.model.cls_head.in_channels == LIGHT_ARCHS[size].embed_dims[-1]

    def test_is_the_recipe(self, name, shared):
        recipe = json.loads((shared / 'reference/official_recipes.json').read_text())[META[name]['Metadata']['Recipe']]
        cfg = config(name)
        arch = resolve(cfg.model.backbone.arch, light=True)
        assert recipe['dataset'] == 'kinetics_sparse' and recipe['num_classes'] == cfg.model.cls_head.num_classes == 400
        assert (list(arch.depths), list(arch.embed_dims), arch.head_dim, arch.mlp_ratio) == (
            recipe['depths'], recipe['embed_dims'], recipe['head_dim'], recipe['mlp_ratio'])
        assert arch.layer_scale == recipe.get('init_value')
        if 'prune_ratio' in recipe:
            assert [list(stage) for stage in arch.keep_ratios] == recipe['prune_ratio'][2:]
        assert cfg.model.backbone.drop_path_rate == recipe['drop_path'] and cfg.model.backbone.out_cls_token
        assert cfg.model.backbone.init_cfg.checkpoint == f"checkpoints/{recipe['pretrained']}.pth"
        head = cfg.model.cls_head
        assert head.label_smooth_eps == recipe['label_smoothing'] and head.dropout_ratio == recipe['head_dropout']
        mixup, cutmix = cfg.model.data_preprocessor.blending.augments
        assert (mixup.alpha, cutmix.alpha) == (recipe['mixup'], recipe['cutmix'])

        train = cfg.train_pipeline
        assert step(train, 'Sample').clip_len == recipe['frames']
        assert step(train, 'RepeatAugment').times == recipe['repeated_aug']
        assert step(train, 'ClipRandAugment').policy == recipe['rand_augment']
        crop = step(train, 'RandomResizedCrop')
        assert list(crop.area_range) == recipe['rrc_scale'] and list(crop.aspect_ratio_range) == recipe['rrc_ratio']
        resize = next(each for each in step(train, 'RepeatAugment').transforms if each.type == 'Resize')
        assert resize.scale == (recipe['train_crop'], ) * 2 and not resize.keep_ratio
        assert bool(step(train, 'Flip')) == recipe['flip']
        assert step(train, 'RandomErasing').erase_prob == recipe['random_erasing']
        assert step(cfg.test_pipeline, 'Crop').crop_size == recipe['test_crop']

        assert cfg.auto_scale_lr.base_batch_size == recipe['total_batch']
        assert cfg.optim_wrapper.type == 'OptimWrapper'  # float32
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == (
            'AdamW', recipe['base_lr'], recipe['weight_decay'])
        assert cfg.optim_wrapper.clip_grad == dict(max_norm=20, norm_type=2)
        warmup, cosine = cfg.param_scheduler
        assert warmup.end == cosine.begin == recipe['warmup_epochs']
        assert warmup.start_factor * optimizer.lr == pytest.approx(recipe['warmup_start_lr'])
        assert cosine.eta_min == recipe['end_lr'] and cosine.end == cfg.train_cfg.max_epochs == recipe['epochs']
        assert cfg.randomness.seed == recipe['seed']

    def test_parameters_and_flops(self, name):
        from mmaction.registry import MODELS
        cfg, meta = config(name), META[name]['Metadata']
        cfg.model.backbone.init_cfg = None
        model = MODELS.build(cfg.model)
        side = int(meta['Resolution'].split('x')[0])
        found = count(model, torch.zeros(1, 1, 3, meta['Frame'], side, side), mode='tensor', stage='head')
        assert found.params == meta['Parameters']
        assert found.flops == pytest.approx(meta['FLOPs'], rel=0.02)  # published with two digits


TINY = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 24, 32], head_dim=8, mlp_ratio=3, conv_stem=True)


@pytest.mark.parametrize('name', NAMES)
def test_training_step_from_files(name, data, tmp_path):  # noqa: F811
    """The config's own data loading, mixing, losses and optimiser on two videos, with a network of reduced size."""
    cfg = config(name)
    layer_scale = resolve(cfg.model.backbone.arch, light=True).layer_scale
    cfg.model.backbone.update(arch=dict(TINY, layer_scale=layer_scale), init_cfg=None)
    cfg.model.cls_head.in_channels = 32
    cfg.train_dataloader.dataset.update(ann_file=str(data / 'videos.txt'), data_prefix=dict(video=str(data)))
    cfg.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
    cfg.launcher = 'none'
    assert not fit_to_machine(cfg)  # nothing in the recipe needs an accelerator
    runner = Runner(
        cfg.model, str(tmp_path / 'work'), cfg.train_dataloader, train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper, randomness=dict(cfg.randomness), default_scope='mmaction', log_level='ERROR',
        experiment_name=f'{name}-{tmp_path.parent.name}')
    loop = runner.build_train_loop(runner._train_loop)
    wrapper = runner.build_optim_wrapper(cfg.optim_wrapper)
    decayed = [group for group in wrapper.optimizer.param_groups if group['weight_decay'] > 0]
    assert decayed and all(group['params'][0].ndim > 1 for group in decayed)
    runner.model.train()
    batch = next(iter(loop.dataloader))
    assert len(batch['inputs']) == 4  # two videos, each twice
    log = runner.model.train_step(batch, wrapper)
    assert set(log) == {'loss', 'loss_cls', 'loss_token'}
    assert 0.5 < log['loss'].item() / math.log(400) < 1.5
    assert all(torch.isfinite(parameter).all() for parameter in runner.model.parameters())
