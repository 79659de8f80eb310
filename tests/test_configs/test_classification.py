"""The classification configs: every published row has one, and each is the recipe it names, down to a training step."""
import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmuniformer  # noqa: F401
from mmuniformer.analysis import count
from mmuniformer.checkpoint import PUBLISHED
from mmuniformer.engine.launch import fit_to_machine
from mmuniformer.models.backbones.arch import resolve

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / 'configs/classification' / name for name in ('uniformer', 'uniformer_light')]
META = {model['Name']: model for folder in FOLDERS
        for model in yaml.safe_load((folder / 'metafile.yml').read_text())['Models']}
NAMES = sorted(META)
#: Million parameters, and GFLOPs by resolution, of inference (arXiv 2201.09450, and as the release's code counts them);
#: of the light models with the second classifier, which the release counts.
SIZES = {
    'UniFormer-S': (21.55, {224: 3.64, 384: 11.87}),
    'UniFormer-S†': (24.03, {224: 4.21, 384: 13.68}),
    'UniFormer-B': (49.78, {224: 8.27, 384: 27.21}),
    'UniFormer-B+Layer Scale': (49.80, {224: 8.27}),
    'UniFormer-L+Layer Scale': (99.43, {224: 19.72, 384: 62.79}),
    'UniFormer-XXS': (10.22, {128: 0.43, 160: 0.66, 192: 0.96, 224: 1.31}),
    'UniFormer-XS': (16.51, {192: 1.42, 224: 1.94}),
}
ARCH = {'UniFormer-S': 'small', 'UniFormer-S†': 'small_plus', 'UniFormer-B': 'base', 'UniFormer-B+Layer Scale': 'base',
        'UniFormer-L+Layer Scale': 'large', 'UniFormer-XXS': 'xxs', 'UniFormer-XS': 'xs'}


@pytest.fixture(autouse=True)
def _mmpretrain():
    init_default_scope('mmpretrain')


def config(name: str) -> Config:
    return Config(without_scope(Config.fromfile(str(ROOT / META[name]['Config'])).to_dict()))


def without_scope(tree):
    """A config without the marks of the package that its bases came from, which is the default scope."""
    if isinstance(tree, dict):
        assert tree.get('_scope_', 'mmpretrain') == 'mmpretrain'
        return {key: without_scope(value) for key, value in tree.items() if key != '_scope_'}
    return [without_scope(value) for value in tree] if isinstance(tree, (list, tuple)) else tree


def recipe_of(shared: Path, name: str) -> dict:
    return json.loads((shared / 'reference/official_recipes.json').read_text())[META[name]['Metadata']['Recipe']]


def step(pipeline, kind: str) -> dict:
    """The step of a pipeline, or of what stands in one of its steps."""
    steps = list(pipeline)
    for each in pipeline:
        steps += each.get('transforms', [])
    return next((each for each in steps if kind == each['type'].rpartition('.')[2]), None)


def is_light(name: str) -> bool:
    return 'xs_' in name


class TestCompleteness:

    def test_every_config_is_in_the_metafile(self):
        configs = {file.stem for folder in FOLDERS for file in folder.glob('*in1k*.py')}
        assert configs == set(META) and len(META) == 22

    def test_every_published_row_has_a_config(self, shared):
        with open(shared / 'reference/official_results.csv') as file:
            rows = [row for row in csv.DictReader(file) if row['task'] == 'image classification']
        assert len(rows) == len(META)
        for row in rows:
            link = f"https://drive.google.com/file/d/{row['weights_gdrive_id']}/view"
            found = [model for model in META.values() if model['Converted From']['Weights'] == link]
            assert len(found) == 1, row
            model, meta = found[0], found[0]['Metadata']
            assert meta['Architecture'] == row['model']
            assert model['Results'][0]['Metrics'] == {'Top 1 Accuracy': float(row['Top-1'].split()[0])}
            assert model['Results'][0]['Source'] == 'published by the authors'
            assert meta['FLOPs'] == round(float(row['FLOPs'].rstrip('G')) * 1e9)
            assert row['log_gdrive_id'] in model['Converted From'].get('Log', '')
            assert ('Token Labels' in meta) == ('Token' in row['section'] or '384' in row['section'])
            pixels = row['Resolution'] or re.search(r'\d+x\d+', row['section'])[0]
            assert meta['Resolution'] == pixels

    def test_heads_are_as_wide_as_the_published_weights(self):
        """The width leaves no trace in the shapes of the weights."""
        widths = {row.drive: row.head_dim for row in PUBLISHED if row.drive}
        for model in META.values():
            drive = model['Converted From']['Weights'].split('/')[-2]
            assert model['Metadata']['Head Channels'] == widths[drive], model['Name']

    def test_model_index(self):
        modelindex = pytest.importorskip('modelindex')
        index = modelindex.load(str(ROOT / 'model-index.yml'))
        index.build_models_with_collections()
        assert {model.name for model in index.models} >= set(META)

    def test_readme(self):
        lines = [line for folder in FOLDERS for line in (folder / 'README.md').read_text().splitlines()]
        for name, model in META.items():
            row = [line for line in lines if f'({name}.py)' in line and line.startswith('|')]
            assert len(row) == 1, name
            cells = [cell.strip() for cell in row[0].split('|')]
            meta = model['Metadata']
            assert str(model['Results'][0]['Metrics']['Top 1 Accuracy']) in cells
            assert f"{meta['Parameters'] / 1e6:.1f} M" in cells and meta['FLOPs'] / 1e9 == float(cells[5])


@pytest.mark.parametrize('name', NAMES)
class TestSettings:

    def test_follows_its_name_and_metafile(self, name):
        cfg, meta = config(name), META[name]['Metadata']
        assert Path(META[name]['Config']).stem == name
        assert cfg.default_scope == 'mmpretrain' and 'mmuniformer' in cfg.custom_imports.imports
        side = int(meta['Resolution'].split('x')[0])
        assert side == 224 or f'-{side}px' in name
        token_label = 'Token Labels' in meta
        assert token_label == ('token-label' in name)
        arch = resolve(cfg.model.backbone.arch, light=is_light(name))
        named = resolve(ARCH[meta['Architecture']], light=is_light(name))
        scaled = 1e-6 if 'Layer Scale' in meta['Architecture'] else None
        assert arch == named.with_(head_dim=meta['Head Channels'], layer_scale=scaled)
        assert ('dim32' in name) == (meta['Head Channels'] == 32 and not is_light(name))
        assert cfg.model.head.in_channels == arch.embed_dims[-1]
        assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == 1000

        loader = cfg.train_dataloader
        assert f'_8xb{loader.batch_size}' in name and loader.drop_last
        assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=8 * loader.batch_size)
        assert meta['Batch Size'] == 8 * loader.batch_size and meta['Epochs'] == cfg.train_cfg.max_epochs
        train = loader.dataset.pipeline
        assert step(train, 'RandomResizedCrop') == dict(
            type='RandomResizedCrop', scale=side, backend='pillow', interpolation='bicubic')
        assert step(train, 'RandomFlip').prob == 0.5
        if token_label:
            target = step(train, 'TokenLabelTarget')
            assert (target.size, target.num_classes) == (side // 32, 1000)
            assert meta['Token Labels'] == f'{side // 32}x{side // 32}'
            assert cfg.model.type == 'mmuniformer.TokenLabelClassifier' and cfg.model.mix_token == 1.0
            assert 'train_cfg' not in cfg.model  # no mixing of images
        for phase in ('val', 'test'):
            pipeline = cfg[f'{phase}_dataloader'].dataset.pipeline
            resize, crop = step(pipeline, 'ResizeEdge'), step(pipeline, 'CenterCrop')
            assert crop.crop_size == side and (resize.edge, resize.interpolation) == ('short', 'bicubic')
            # 256 / 224 of the crop as DeiT's test, and crop / 0.9 as timm's for token labeling; rounded down.
            assert resize.scale == int(side / 0.9 if token_label else 256 / 224 * side)
            assert cfg[f'{phase}_dataloader'].dataset.split == 'val'

    def test_is_the_recipe(self, name, shared):
        cfg, recipe = config(name), recipe_of(shared, name)
        token_label = bool(recipe.get('token_label'))
        light = is_light(name)
        batch = int(recipe['batch_size'])
        assert cfg.train_dataloader.batch_size == batch
        side = int(recipe.get('input_size') or recipe.get('img_size') or 224)
        assert step(cfg.train_dataloader.dataset.pipeline, 'RandomResizedCrop').scale == side
        assert cfg.model.backbone.drop_path_rate == float(recipe['drop_path'])
        epochs = int(recipe.get('epoch') or recipe.get('epochs') or 300)
        assert cfg.train_cfg.max_epochs == epochs

        optimizer = cfg.optim_wrapper.optimizer
        lr = float(recipe.get('lr', 1.6e-3)) if token_label else float(recipe.get('lr', 5e-4)) * 8 * batch / 512
        assert optimizer.type == 'AdamW' and optimizer.lr == pytest.approx(lr)
        assert optimizer.weight_decay == float(recipe.get('weight_decay', 0.05))
        assert 'clip_grad' not in cfg.optim_wrapper
        # Light models were trained in float32, the others in mixed precision.
        assert cfg.optim_wrapper.type == ('OptimWrapper' if light else 'AmpOptimWrapper')
        warmup = int(recipe.get('warmup_epochs', 5))
        if warmup:
            linear, cosine = cfg.param_scheduler
            assert linear.end == cosine.begin == warmup and cosine.end == epochs
            assert linear.start_factor * lr == pytest.approx(1e-6) and cosine.eta_min == 1e-5
        else:
            assert cfg.param_scheduler == [] and float(recipe['min_lr']) == lr

        averages = [hook for hook in cfg.custom_hooks if hook.type == 'EMAHook']
        if token_label and not recipe.get('model_ema'):
            assert not averages
        else:
            decay = float(recipe.get('model_ema_decay', 0.99992 if token_label else 0.99996))
            assert len(averages) == 1 and averages[0].momentum == pytest.approx(1 - decay)
            assert averages[0].update_buffers

        train = cfg.train_dataloader.dataset.pipeline
        repeated = not (token_label or recipe.get('no_repeated_aug'))
        assert cfg.train_dataloader.sampler == dict(
            type='RepeatAugSampler' if repeated else 'DefaultSampler', shuffle=True)
        if recipe.get('aa') == 'v0':
            assert step(train, 'AutoAugment') and not step(train, 'RandAugment')
        else:  # m9-mstd0.5-inc1
            augment = step(train, 'RandAugment')
            assert (augment.policies, augment.num_policies, augment.magnitude_level, augment.magnitude_std,
                    augment.total_level) == ('timm_increasing', 2, 9, 0.5, 10)
            assert augment.hparams == dict(pad_val=[104, 116, 124], interpolation='bicubic')
        assert step(train, 'RandomErasing').erase_prob == 0.25 and step(train, 'RandomErasing').mode == 'rand'
        if not token_label:
            assert cfg.model.train_cfg.augments == [dict(type='Mixup', alpha=0.8), dict(type='CutMix', alpha=1.0)]
        assert cfg.model.head.loss == dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')

    def test_parameters_and_flops(self, name):
        from mmpretrain.registry import MODELS
        cfg, meta = config(name), META[name]['Metadata']
        side = int(meta['Resolution'].split('x')[0])
        cfg.model.init_cfg = None
        model = MODELS.build(cfg.model)
        found = count(model, torch.zeros(1, 3, side, side), mode='tensor')
        assert found.params == meta['Parameters']
        params, gflops = SIZES[meta['Architecture']][0], SIZES[meta['Architecture']][1][side]
        second = model.head.fc_aux if 'token-label' in name else None
        classifier = sum(parameter.numel() for parameter in second.parameters()) if second else 0
        tokens = (side // 32)**2 * second.weight.numel() if second else 0
        assert (found.params - classifier) / 1e6 == pytest.approx(params, abs=0.03)
        assert (found.flops - tokens) / 1e9 == pytest.approx(gflops, abs=0.006)


def test_autoaugment_is_timms(monkeypatch):
    """The light recipe's policy, operation by operation."""
    timm = pytest.importorskip('timm.data.auto_augment')
    ours = step(config('uniformer-xxs_8xb512_in1k-128px').train_pipeline, 'AutoAugment').policies
    theirs = timm.auto_augment_policy_v0({})
    monkeypatch.setattr(timm, '_randomly_negate', lambda value: value)
    assert len(ours) == len(theirs) == 25
    types = {'Color': 'ColorTransform', 'ShearX': 'Shear', 'ShearY': 'Shear', 'TranslateYRel': 'Translate'}
    values = dict(Solarize='thr', Posterize='bits', Rotate='angle')
    for pair, expected in zip(ours, theirs):
        for operation, reference in zip(pair, expected):
            name = reference.name
            assert operation.type == types.get(name, name) and operation.prob == reference.prob
            argument = reference.level_fn(reference.magnitude, {}) if reference.level_fn else ()
            if name in ('SolarizeAdd', 'TranslateYRel', 'ShearX', 'ShearY', 'Color', *values):
                found = operation[values.get(name, 'magnitude')] + (1 if name == 'Color' else 0)
                assert found == pytest.approx(argument[0])
            if name in ('ShearX', 'ShearY', 'TranslateYRel'):
                assert operation.direction == ('horizontal' if name == 'ShearX' else 'vertical')
            if name in ('Rotate', 'ShearX', 'ShearY', 'TranslateYRel'):  # both signs, and the mean colour comes in
                assert 'random_negative_prob' not in operation and operation.pad_val == [104, 116, 124]
            if name == 'Color':  # the factor is drawn from one side only
                assert operation.random_negative_prob == 0


TINY = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 24, 32], head_dim=8)
SIDE, CLASSES, EPOCH = 64, 1000, 7


def item(index: int, token_label: bool) -> dict:
    from mmpretrain.structures import DataSample
    sample = DataSample().set_gt_label(index % CLASSES)
    if token_label:
        scores = torch.randn(CLASSES, SIDE // 32, SIDE // 32)
        sample.set_gt_score(scores.mean((1, 2)).softmax(0)).set_field(scores.softmax(0).half(), 'token_score')
    return dict(inputs=torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8), data_samples=sample)


@pytest.mark.parametrize('name', NAMES)
def test_training_step(name, tmp_path):
    """The config's preprocessing, mixing, loss, optimiser and schedule, with a network and images of reduced size."""
    cfg = config(name)
    light, token_label = is_light(name), 'token-label' in name
    arch = dict(TINY, conv_stem=resolve(cfg.model.backbone.arch, light).conv_stem)
    if resolve(cfg.model.backbone.arch, light).layer_scale:
        arch['layer_scale'] = 1e-6
    cfg.model.init_cfg = None
    cfg.model.backbone.arch = arch
    cfg.model.head.in_channels = 32
    cfg.launcher = 'none'
    fit_to_machine(cfg)
    recipe_lr = cfg.optim_wrapper.optimizer.lr
    whole_batch, batch = cfg.train_dataloader.batch_size, 16

    class Images(torch.utils.data.Dataset):

        def __len__(self):
            return batch * EPOCH

        def __getitem__(self, index):
            return item(index, token_label)

    loader = dict(cfg.train_dataloader, dataset=Images(), num_workers=0, batch_size=batch, persistent_workers=False)
    cfg.auto_scale_lr.base_batch_size = cfg.auto_scale_lr.base_batch_size * batch // whole_batch
    runner = Runner(
        {**cfg.model, 'data_preprocessor': cfg.data_preprocessor}, str(tmp_path), loader, train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper, param_scheduler=cfg.param_scheduler, auto_scale_lr=cfg.auto_scale_lr,
        custom_hooks=cfg.custom_hooks, randomness=dict(cfg.randomness), default_scope='mmpretrain', log_level='ERROR',
        experiment_name=f'{name}-{tmp_path.parent.name}')
    loop = runner.build_train_loop(runner._train_loop)
    runner._train_loop = loop
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
    schedule = runner.build_param_scheduler(runner.param_schedulers)

    # One of 8 GPUs has an eighth of the batch, so the learning rate is an eighth of the recipe's.
    groups = {id(group['params'][0]): group for group in runner.optim_wrapper.optimizer.param_groups}
    parameters = dict(runner.model.named_parameters())
    assert len(groups) == len(parameters)
    for label, parameter in parameters.items():
        group = groups[id(parameter)]
        assert group['lr' if not cfg.param_scheduler else 'initial_lr'] == pytest.approx(recipe_lr / 8), label
        undecayed = parameter.ndim == 1 or label == 'backbone.cls_token'
        assert group['weight_decay'] == (0 if undecayed else cfg.optim_wrapper.optimizer.weight_decay), label

    runner.model.train()
    before = {label: parameter.detach().clone() for label, parameter in parameters.items()}
    np.random.seed(0)
    log = runner.model.train_step(next(iter(runner.train_dataloader)), runner.optim_wrapper)
    assert set(log) == {'loss'} | ({'loss_cls', 'loss_token'} if token_label or light else set())
    # Nothing is known yet: close to the entropy of guessing, of the image and, with as much weight, of its tokens.
    assert log['loss'].item() == pytest.approx(np.log(CLASSES) * (2 if token_label else 1), rel=0.05)
    still = [label for label, parameter in parameters.items() if torch.equal(parameter, before[label])]
    if 'layer_scale' in arch:  # behind a scale of 1e-6 the first step can be too small for float32
        still = [label for label in still if not re.match(r'backbone\.blocks[34]', label)]
    assert not still

    if cfg.param_scheduler:
        rates = [schedule[0].get_last_value()[0]]
        for index in range(cfg.train_cfg.max_epochs * EPOCH):
            for part in schedule:
                if not part.by_epoch or (index + 1) % EPOCH == 0:
                    part.step()
            rates.append(runner.optim_wrapper.optimizer.param_groups[0]['lr'])
        warmup = cfg.param_scheduler[0].end * EPOCH
        top = max(range(len(rates)), key=rates.__getitem__)
        assert rates[0] == pytest.approx(1e-6 / 8, rel=1e-2)
        assert warmup - 1 <= top <= warmup + EPOCH
        assert rates[top] == pytest.approx(recipe_lr / 8, rel=1e-2)
        assert rates[-1] == pytest.approx(1e-5, rel=1e-2)


def test_fine_tuning_example():
    """Another class count and resolution: it builds, and no setting of ImageNet is left."""
    from mmpretrain.registry import MODELS
    cfg = Config.fromfile(str(FOLDERS[0] / 'uniformer-small_8xb8_cub-384px.py'))
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == 200
    assert {cfg[f'{phase}_dataloader'].dataset.type for phase in ('train', 'val', 'test')} == {'CUB'}
    cfg.model.backbone.update(arch=TINY, init_cfg=None)
    cfg.model.head.in_channels = 32
    model = MODELS.build(cfg.model)
    data = [item(3, False), item(5, False)]
    batch = model.data_preprocessor(dict(inputs=[each['inputs'] for each in data],
                                         data_samples=[each['data_samples'] for each in data]), training=True)
    assert model(**batch, mode='loss')['loss'].item() == pytest.approx(np.log(200), rel=0.05)
