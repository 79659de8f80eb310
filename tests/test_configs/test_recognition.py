"""The video configs: every published row has one, and each is the recipe it names, down to a training step."""
import csv
import json
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import mmuniformer  # noqa: F401
from mmuniformer.engine.launch import fit_to_machine

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs/recognition/uniformer'
META = {model['Name']: model for model in yaml.safe_load((FOLDER / 'metafile.yml').read_text())['Models']}
NAMES = sorted(META)
#: Million parameters at 400 classes (arXiv 2201.04676, Table 3, and the release), and of one more class.
PARAMS = {'UniFormer-S': 21.40e6, 'UniFormer-B': 49.81e6}
CLASS_PARAMS = 513
LAYOUT = dict(small=dict(depths=[3, 4, 8, 3]), base=dict(depths=[5, 8, 20, 7]))


@pytest.fixture(autouse=True)
def _mmaction():
    init_default_scope('mmaction')
    import mmaction.models  # noqa: F401


def config(name: str) -> Config:
    return Config.fromfile(str(ROOT / META[name]['Config']))


def step(pipeline, kind: str) -> dict:
    """The step of a pipeline, or of what is repeated in it."""
    steps = list(pipeline)
    for each in pipeline:
        steps += each.get('transforms', [])
    return next((each for each in steps if kind in each['type']), None)


def clip(cfg: Config, phase: str) -> dict:
    pipeline = cfg[f'{phase}_dataloader'].dataset.pipeline
    assert pipeline == cfg[f'{phase}_pipeline'], 'what inferencers read is not what the data loader does'
    return step(pipeline, 'Sample')


class TestCompleteness:

    def test_every_config_is_in_the_metafile(self):
        assert {file.stem for file in FOLDER.glob('*.py')} == set(META)

    def test_every_published_row_has_a_config(self, shared):
        with open(shared / 'reference/official_results.csv') as file:
            rows = [row for row in csv.DictReader(file) if row['task'] == 'video classification'
                    and row['model'] in ('UniFormer-S', 'UniFormer-B')]
        assert len(rows) == len(META) == 31
        for row in rows:
            frames, crops, clips = map(int, row['#Frame'].split('x'))
            stride = row['Sampling Stride'] or row['Resolution']  # one table has the stride under another name
            before = {'K400': 'Kinetics-400', 'K600': 'Kinetics-600', '': None}[row['Pretrain']]
            found = [
                model for model in META.values()
                if model['Metadata']['Architecture'] == row['model']
                and model['Results'][0]['Dataset'] == row['section'] and model['Metadata']['Frame'] == frames
                and (not stride or model['Metadata']['Sampling rate'] == int(stride))
                and (not before or model['Metadata']['Pretrained'] == before)
            ]
            assert len(found) == 1, row
            model, meta = found[0], found[0]['Metadata']
            assert (meta['Test Clips'], meta['Test Crops']) == (clips, crops)
            assert model['Results'][0]['Metrics'] == {
                'Top 1 Accuracy': float((row['Top-1'] or row['Top1']).rstrip('*'))}
            assert model['Results'][0]['Source'] == 'published by the authors'
            assert meta['FLOPs'] == int(row['FLOPs'].rstrip('G')) * 10**9
            for key, column in (('Weights', 'weights_gdrive_id'), ('Log', 'log_gdrive_id')):
                link = model['Converted From'].get(key, '')
                assert row[column] in link if row[column] else not link

    def test_model_index(self):
        modelindex = pytest.importorskip('modelindex')
        index = modelindex.load(str(ROOT / 'model-index.yml'))
        index.build_models_with_collections()
        assert {model.name for model in index.models} >= set(META)

    def test_readme(self):
        lines = (FOLDER / 'README.md').read_text().splitlines()
        for name, model in META.items():
            row = [line for line in lines if f'({name}.py)' in line]
            assert len(row) == 1, name
            cells = [cell.strip() for cell in row[0].split('|')]
            meta = model['Metadata']
            assert f"{model['Results'][0]['Metrics']['Top 1 Accuracy']}" in [cell.rstrip('*') for cell in cells]
            assert f"{meta['Frame']}x{meta['Test Crops']}x{meta['Test Clips']}" in cells
            assert f"{meta['FLOPs'] // 10**9}" in cells and f"{meta['Parameters'] / 1e6:.1f} M" in cells


@pytest.mark.parametrize('name', NAMES)
class TestSettings:

    def test_follows_its_name_and_metafile(self, name):
        cfg, meta = config(name), META[name]['Metadata']
        assert Path(META[name]['Config']).stem == name
        assert cfg.default_scope == 'mmaction'
        assert cfg.custom_imports == dict(imports=['mmuniformer'], allow_failed_imports=False)
        assert cfg.model.backbone.arch == {'UniFormer-S': 'small', 'UniFormer-B': 'base'}[meta['Architecture']]
        assert f'uniformer-{cfg.model.backbone.arch}_' in name
        assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=meta['Batch Size'])
        assert cfg.train_dataloader.batch_size * 8 == meta['Batch Size']
        assert cfg.train_cfg.max_epochs == meta['Epochs']
        for phase in ('train', 'val', 'test'):
            sampling = clip(cfg, phase)
            assert sampling.clip_len == meta['Frame']
            assert sampling.get('test_mode', False) == (phase != 'train')
            if meta['Sampling rate'] == 'one a segment':
                assert sampling.type == 'UniformSample' and f'_u{meta["Frame"]}_' in name
            else:
                assert sampling.type == 'SampleFrames' and sampling.frame_interval == meta['Sampling rate']
                assert f'_{meta["Frame"]}x{meta["Sampling rate"]}x1_' in name
        assert clip(cfg, 'test').num_clips == meta['Test Clips']
        crop = step(cfg.test_pipeline, 'Crop')
        assert crop == dict(type={1: 'CenterCrop', 3: 'ThreeCrop'}[meta['Test Crops']], crop_size=224)
        assert step(cfg.test_pipeline, 'Resize').scale == (-1, 224)
        data = META[name]['Results'][0]['Dataset']
        place = data.lower().replace('something-something v', 'sthv').replace('-', '')
        for phase in ('train', 'val', 'test'):
            dataset = cfg[f'{phase}_dataloader'].dataset
            assert dataset.type == ('RawframeDataset' if place == 'sthv1' else 'VideoDataset')
            assert dataset.ann_file.startswith(f'data/{place}/')
            assert all(folder.startswith(f'data/{place}/') for folder in dataset.data_prefix.values())
            assert ('train' in dataset.ann_file) == (phase == 'train')
        weights = cfg.model.backbone.init_cfg.checkpoint
        before = meta['Pretrained']
        assert cfg.model.backbone.arch in weights
        assert {'ImageNet-1K': 'in1k', 'Kinetics-400': 'kinetics400', 'Kinetics-600': 'k600_16x4'}[before] in weights
        assert name.split('_')[1] == {
            'ImageNet-1K': 'imagenet1k-pre', 'Kinetics-400': 'k400-pre', 'Kinetics-600': 'k600-pre'}[before]

    def test_is_the_recipe(self, name, shared):
        cfg, meta = config(name), META[name]['Metadata']
        recipe = json.loads((shared / 'reference/official_recipes.json').read_text())[meta['Recipe']]
        model, train = cfg.model, cfg.train_dataloader.dataset.pipeline
        classes = recipe['num_classes']
        assert model.cls_head.num_classes == classes
        mixup, cutmix = model.data_preprocessor.blending.augments
        assert mixup == dict(type='MixupBlending', alpha=recipe['mixup'], num_classes=classes)
        assert cutmix == dict(type='CutmixBlending', alpha=recipe['cutmix'], num_classes=classes)
        assert model.cls_head.label_smooth_eps == recipe['label_smoothing']
        assert model.cls_head.dropout_ratio == recipe['head_dropout']
        assert model.backbone.drop_path_rate == recipe['drop_path']
        assert LAYOUT[model.backbone.arch]['depths'] == recipe['depths']

        sampling = clip(cfg, 'train')
        assert sampling.clip_len == recipe['frames']
        if recipe['dataset'] == 'sth':
            assert sampling.type == 'UniformSample'
        else:
            assert sampling.frame_interval == recipe['sampling_stride']
        assert step(train, 'RepeatAugment').times == recipe['repeated_aug']
        assert cfg.train_dataloader.collate_fn.type == 'repeat_pseudo_collate'
        assert step(train, 'ClipRandAugment').policy == recipe['rand_augment']
        crop = step(train, 'RandomResizedCrop')
        assert list(crop.area_range) == recipe['rrc_scale'] and list(crop.aspect_ratio_range) == recipe['rrc_ratio']
        resize = next(each for each in step(train, 'RepeatAugment').transforms if each.type == 'Resize')
        assert resize.scale == (recipe['train_crop'], ) * 2 and not resize.keep_ratio
        assert bool(step(train, 'Flip')) == recipe['flip']
        assert step(train, 'RandomErasing').erase_prob == recipe['random_erasing']
        assert step(cfg.test_pipeline, 'Crop').crop_size == recipe['test_crop']

        assert cfg.auto_scale_lr.base_batch_size == recipe['total_batch']
        assert cfg.train_dataloader.batch_size * recipe['gpus'] == recipe['total_batch']
        optimizer = cfg.optim_wrapper.optimizer
        assert optimizer.type == 'AdamW' and optimizer.lr == recipe['base_lr']
        assert optimizer.weight_decay == recipe['weight_decay'] and recipe['zero_wd_on_1d_params']
        assert cfg.optim_wrapper.clip_grad == dict(max_norm=20, norm_type=2)
        warmup, cosine = cfg.param_scheduler
        assert warmup.end == cosine.begin == recipe['warmup_epochs']
        assert warmup.start_factor * optimizer.lr == pytest.approx(recipe['warmup_start_lr'])
        assert cosine.eta_min == recipe['end_lr']
        assert cosine.end == cfg.train_cfg.max_epochs == recipe['epochs']
        assert cfg.randomness.seed == recipe['seed']
        assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')

    def test_parameters(self, name):
        from mmaction.registry import MODELS
        cfg, meta = config(name), META[name]['Metadata']
        model = MODELS.build(cfg.model)
        count = sum(parameter.numel() for parameter in model.parameters())
        published = PARAMS[meta['Architecture']] + CLASS_PARAMS * (cfg.model.cls_head.num_classes - 400)
        assert count == pytest.approx(published, rel=0.005)
        assert count == meta['Parameters']


TINY = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 24, 32], head_dim=8)


@pytest.mark.parametrize('name', NAMES)
def test_training_step(name, tmp_path):
    """The config's preprocessing, loss, optimiser and schedule, with a network and clips of reduced size."""
    from mmaction.structures import ActionDataSample
    cfg = config(name)
    classes = cfg.model.cls_head.num_classes
    cfg.model.backbone.update(arch=TINY, init_cfg=None)
    cfg.model.cls_head.in_channels = TINY['embed_dims'][-1]
    cfg.launcher = 'none'
    fit_to_machine(cfg)
    recipe_lr = cfg.optim_wrapper.optimizer.lr
    clips, epoch_length = cfg.train_dataloader.batch_size, 7

    def item(index):
        sample = ActionDataSample().set_gt_label(index % classes)
        return dict(inputs=torch.randint(0, 256, (1, 3, 4, 32, 32), dtype=torch.uint8), data_samples=sample)

    class Clips(torch.utils.data.Dataset):

        def __len__(self):
            return clips * epoch_length

        def __getitem__(self, index):
            return [item(index), item(index)]  # as repeated augmentation gives

    runner = Runner(
        cfg.model, str(tmp_path), dict(cfg.train_dataloader, dataset=Clips(), num_workers=0, persistent_workers=False),
        train_cfg=cfg.train_cfg, optim_wrapper=cfg.optim_wrapper, param_scheduler=cfg.param_scheduler,
        auto_scale_lr=cfg.auto_scale_lr, randomness=dict(cfg.randomness), default_scope='mmaction', log_level='ERROR',
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
        assert group['initial_lr'] == pytest.approx(recipe_lr / 8), label
        assert group['weight_decay'] == (0 if parameter.ndim == 1 else 0.05), label

    runner.model.train()
    before = {label: parameter.detach().clone() for label, parameter in parameters.items()}
    log = runner.model.train_step(next(iter(runner.train_dataloader)), runner.optim_wrapper)
    # Nothing is known yet: close to the entropy of guessing, with the noise of two samples a clip.
    assert 0.5 < log['loss'].item() / torch.log(torch.tensor(float(classes))).item() < 1.5
    moved = [label for label, parameter in parameters.items() if not torch.equal(parameter, before[label])]
    assert len(moved) == len(parameters), set(parameters) - set(moved)

    rates = [schedule[0].get_last_value()[0]]
    for _ in range(cfg.train_cfg.max_epochs * epoch_length):
        for part in schedule:
            part.step()
        rates.append(schedule[0].optimizer.param_groups[0]['lr'])
    top = max(range(len(rates)), key=rates.__getitem__)
    warmup = cfg.param_scheduler[0].end
    assert rates[0] == pytest.approx(1e-6 / 8, rel=1e-3)
    assert abs(top - warmup * epoch_length) <= 1
    assert rates[top] == pytest.approx(recipe_lr / 8, rel=1e-2)
    assert rates[-1] == pytest.approx(1e-6, rel=1e-2)


def test_mixed_labels():
    """Mixing and smoothing give targets that sum to one, of the batch's own classes."""
    from mmaction.registry import MODELS
    from mmaction.structures import ActionDataSample
    preprocessor = MODELS.build(config('uniformer-small_k400-pre_u16_sthv2-rgb').model.data_preprocessor)
    seen = set()
    for _ in range(20):
        samples = [ActionDataSample().set_gt_label(label) for label in (3, 5, 7, 9)]
        inputs = [torch.randint(0, 256, (1, 3, 2, 32, 32), dtype=torch.uint8) for _ in samples]
        data = preprocessor(dict(inputs=inputs, data_samples=samples), training=True)
        targets = torch.stack([sample.gt_label for sample in data['data_samples']])
        assert targets.shape == (4, 174)
        torch.testing.assert_close(targets.sum(1), torch.ones(4))
        assert set(targets.nonzero()[:, 1].tolist()) <= {3, 5, 7, 9}
        assert data['inputs'].shape == (4, 1, 3, 2, 32, 32) and data['inputs'].abs().max() <= 2.45
        # Cut and pasted pixels are bytes still; blended ones are between.
        pixels = data['inputs'] * 57.375 + 114.75
        seen.add('cutmix' if torch.allclose(pixels, pixels.round(), atol=1e-3) else 'mixup')
    assert seen == {'cutmix', 'mixup'}
