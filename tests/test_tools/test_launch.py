"""What train.py and test.py do to a config before the Runner sees it, and what they say when something is missing."""
import argparse
import copy
import importlib.util
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmuniformer.checkpoint import CheckpointError
from mmuniformer.datasets.transforms import ClipReadError, TokenLabelError
from mmuniformer.datasets.wrappers import TooManyUnreadable
from mmuniformer.engine import launch
from mmuniformer.engine.hooks import CheckpointWriteError, NonFiniteError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / 'configs/recognition/uniformer'
KINETICS = FOLDER / 'uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py'


def tool(name: str):
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(monkeypatch, name: str, *options: str) -> None:
    """The whole tool."""
    monkeypatch.setattr('sys.argv', [f'{name}.py', str(KINETICS), *options])
    monkeypatch.setenv('LOCAL_RANK', '0')
    tool(name).main()


def merged(monkeypatch, name: str, *options: str) -> Config:
    """The config as the tool hands it to the Runner."""
    module = tool(name)
    monkeypatch.setattr('sys.argv', [f'{name}.py', str(KINETICS), *options])
    monkeypatch.setenv('LOCAL_RANK', '0')
    args = module.parse_args()
    return module.merge_args(launch.read_config(args.config), args)


class TestTrainOptions:

    def test_defaults(self, monkeypatch):
        cfg = merged(monkeypatch, 'train')
        assert Path(cfg.work_dir) == Path('work_dirs', KINETICS.stem)
        assert (cfg.launcher, cfg.resume, cfg.load_from, cfg.randomness.seed) == ('none', False, None, 0)
        assert cfg.val_cfg.type == 'ValLoop' and cfg.auto_scale_lr.enable

    def test_options(self, monkeypatch):
        cfg = merged(monkeypatch, 'train', '--work-dir', 'here', '--resume', '--no-validate', '--seed', '3',
                     '--deterministic', '--cfg-options', 'train_cfg.max_epochs=2', 'model.backbone.with_cp=[0,0,4,0]')
        assert cfg.work_dir == 'here' and cfg.resume and cfg.load_from is None
        assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
        assert cfg.randomness == dict(seed=3, deterministic=True)
        assert cfg.train_cfg.max_epochs == 2 and cfg.model.backbone.with_cp == [0, 0, 4, 0]

    def test_amp(self, monkeypatch):
        cfg = merged(monkeypatch, 'train', '--amp', '--cfg-options', 'work_dir=x')
        assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
        module = tool('train')
        args = argparse.Namespace(amp=True, launcher='none', config='c.py', work_dir=None, no_validate=False)
        with pytest.raises(SystemExit, match='ApexOptimWrapper'):
            module.merge_args(Config(dict(optim_wrapper=dict(type='ApexOptimWrapper'))), args)

    def test_auto_scale_lr(self, monkeypatch):
        module = tool('train')
        args = argparse.Namespace(amp=False, launcher='none', config='c.py', work_dir=None, no_validate=False,
                                  auto_scale_lr=True)
        with pytest.raises(SystemExit, match='base_batch_size'):
            module.merge_args(Config(dict()), args)

    @pytest.mark.parametrize('given', ['foo', 'train_dataloader.batch_size.x=1'])
    def test_options_that_do_not_fit(self, monkeypatch, capsys, given):
        with pytest.raises(SystemExit) as error:
            merged(monkeypatch, 'train', '--cfg-options', given)
        said = capsys.readouterr().err if given == 'foo' else str(error.value)
        assert ("'foo' is no KEY=VALUE" if given == 'foo' else '--cfg-options does not fit the config (') in said

    def test_resume_from_a_missing_file(self, monkeypatch):
        with pytest.raises(SystemExit, match='gone.pth: no such file'):
            run(monkeypatch, 'train', '--resume', 'gone.pth')


class TestTestOptions:

    @pytest.fixture
    def checkpoint(self, tmp_path) -> str:
        torch.save(dict(state_dict={'backbone.patch_embed1.proj.weight': torch.zeros(1)}), tmp_path / 'ours.pth')
        return str(tmp_path / 'ours.pth')

    def test_defaults(self, monkeypatch, checkpoint):
        cfg = merged(monkeypatch, 'test', checkpoint)
        assert cfg.load_from == checkpoint and cfg.resume is False and cfg.test_evaluator.type == 'AccMetric'

    def test_dump(self, monkeypatch, checkpoint):
        cfg = merged(monkeypatch, 'test', checkpoint, '--dump', 'out.pkl')
        assert [each.type for each in cfg.test_evaluator] == ['AccMetric', 'DumpResults']
        with pytest.raises(SystemExit, match=r'\.pkl file, not out.json'):
            merged(monkeypatch, 'test', checkpoint, '--dump', 'out.json')

    @pytest.mark.parametrize('kind, changed', [
        ('VisualizationHook', dict(enable=True, out_dir='seen')),
        ('mmpose.PoseVisualizationHook', dict(enable=True, out_dir='seen')),
        ('DetVisualizationHook', dict(draw=True, test_out_dir='seen')),
        ('SegVisualizationHook', dict(draw=True)),
    ])
    def test_drawing(self, kind, changed):
        cfg = Config(dict(visualizer=dict(type='V'), default_hooks=dict(visualization=dict(type=kind))))
        launch.draw_predictions(cfg, 'seen', 5)
        assert cfg.default_hooks.visualization == dict(type=kind, interval=5, **changed)
        assert cfg.visualizer.get('save_dir') == ('seen' if 'Seg' in kind else None)

    def test_drawing_without_a_hook(self, monkeypatch, checkpoint):
        with pytest.raises(SystemExit, match='VisualizationHook'):
            merged(monkeypatch, 'test', checkpoint, '--show-dir', 'seen')

    def test_missing_checkpoint(self, monkeypatch):
        with pytest.raises(SystemExit, match='gone.pth: no such file'):
            run(monkeypatch, 'test', 'gone.pth')

    def test_web_page_for_a_checkpoint(self, monkeypatch, tmp_path):
        (tmp_path / 'page.pth').write_text('<!DOCTYPE html><html></html>')
        with pytest.raises(SystemExit, match='is a web page'):
            run(monkeypatch, 'test', str(tmp_path / 'page.pth'))

    def test_official_checkpoint(self, monkeypatch, tmp_path):
        """A Runner would warn of every name, load nothing and report the accuracy of guessing."""
        from mmuniformer.models import UniFormer3D
        torch.save(UniFormer3D(dict(depths=[1] * 4, embed_dims=[8] * 4, head_dim=8)).state_dict(), tmp_path / 'o.pth')
        with pytest.raises(SystemExit, match=r'official release.*convert.py .*o.pth FILE --to mm'):
            run(monkeypatch, 'test', str(tmp_path / 'o.pth'))


class TestMissing:

    def test_config(self):
        with pytest.raises(SystemExit) as error:
            launch.read_config(str(FOLDER / 'uniformer-small_16x4x1_kinetics400-rgb.py'))
        message = str(error.value)
        assert message.startswith('No config file ') and '\n' not in message
        assert message.rpartition('Is it ')[2].startswith(str(FOLDER / 'uniformer-small_'))

    def test_config_in_no_folder(self, tmp_path):
        with pytest.raises(SystemExit, match=r'^No config file .*/a/b.py\.$'):
            launch.read_config(str(tmp_path / 'a/b.py'))

    def test_folder_as_a_config(self):
        with pytest.raises(SystemExit, match='configs is a folder: name a config file in it'):
            launch.read_config(str(ROOT / 'configs'))

    @pytest.mark.parametrize('text, message', [
        ('model = dict(', r'can not be read as a config \(SyntaxError: '),
        ("_base_ = 'gone.py'", r'can not be read as a config \(FileNotFoundError: .*gone.py'),
        ('model = dict(a=1 / 0)', r'can not be read as a config \(ZeroDivisionError: '),
        ('a = 1', 'has no `model`'),
    ])
    def test_config_that_is_none(self, tmp_path, text, message):
        (tmp_path / 'a.py').write_text(text)
        with pytest.raises(SystemExit, match=rf'^{tmp_path}/a.py {message}') as error:
            launch.read_config(str(tmp_path / 'a.py'))
        assert '\n' not in str(error.value)

    @pytest.mark.parametrize('name', ['mmuniformer::recognition/nope.py', 'nopkg::foo.py', 'nopkg::foo/bar.py'])
    def test_missing_packaged_config(self, name):
        with pytest.raises(SystemExit, match=f'^{name} can not be read as a config'):
            launch.read_config(name)

    @pytest.mark.parametrize('change, message', [
        (dict(type='mmuniformer.UniFormer', arch='smal'), "unknown arch 'smal': choose one of"),
        (dict(type='mmuniformer.Uniformer'), 'mmuniformer.Uniformer is not in the mmengine::model registry'),
    ])
    def test_setting_that_can_not_be(self, tmp_path, change, message):
        cfg = Config(dict(model=change, work_dir=str(tmp_path / 'out')))
        with pytest.raises(SystemExit, match=f'^The config: {message}'):
            launch.build_runner(cfg)

    def test_packaged_config(self):
        cfg = launch.read_config('mmaction::recognition/c3d/c3d_sports1m-pretrained_8xb30-16x1x1-45e_ucf101-rgb.py')
        assert cfg.default_scope == 'mmaction'

    def test_data(self, tmp_path):
        cfg = Config.fromfile(str(KINETICS))
        listed = tmp_path / 'list.txt'
        cfg.val_dataloader.dataset.ann_file = str(listed)
        listed.touch()
        with pytest.raises(SystemExit) as error, launch.one_line_errors(cfg):
            raise FileNotFoundError('deep inside')
        message = str(error.value)
        assert '\n' not in message and str(listed) not in message
        place = 'data/kinetics400/kinetics400_train_list_videos.txt'
        assert f'{place} (train_dataloader.dataset.ann_file)' in message
        assert 'data/kinetics400/videos_val (val_dataloader.dataset.data_prefix.video)' in message

    def test_other_missing_files_are_not_blamed_on_data(self):
        with pytest.raises(FileNotFoundError, match='deep inside'), launch.one_line_errors(Config()):
            raise FileNotFoundError('deep inside')

    def test_data_that_a_framework_asserts(self, tmp_path):
        cfg = Config(dict(val_dataloader=dict(dataset=dict(data_root=str(tmp_path), ann_file='a.json'))))
        with pytest.raises(SystemExit, match=r'^Not there: .*a.json \(val_dataloader.dataset.ann_file\)\. '), \
                launch.one_line_errors(cfg):
            raise AssertionError(f'Annotation file `{tmp_path}/a.json`does not exist')

    def test_package_missed_in_a_worker(self):
        """The words of MMAction2's DecordInit, as PyTorch brings them from another process."""
        inside = 'Caught ImportError in DataLoader worker process 0.\nOriginal Traceback:\n  ...\n' \
                 'ImportError: Please run "pip install decord" to install Decord first.\n'
        with pytest.raises(SystemExit, match='^Please run "pip install decord" to install Decord first.$'), \
                launch.one_line_errors(Config()):
            raise ImportError(inside)
        with pytest.raises(ImportError, match='cannot import'), launch.one_line_errors(Config()):
            raise ImportError("cannot import name 'x' from 'mmuniformer'")

    def test_other_assertions_are_not_blamed_on_data(self):
        cfg = Config(dict(train_dataloader=dict(dataset=dict(ann_file='gone.json'))))
        with pytest.raises(AssertionError, match='shapes differ'), launch.one_line_errors(cfg):
            raise AssertionError('shapes differ')

    def test_clip_read_in_a_worker(self):
        inside = 'Caught ClipReadError in DataLoader worker process 0.\nOriginal Traceback:\n  ...\n' \
                 'mmuniformer.datasets.transforms.loading.ClipReadError: a.mp4 is not there\n'
        for text in (inside, 'a.mp4 is not there'):
            with pytest.raises(SystemExit, match='^a.mp4 is not there$'), launch.one_line_errors(Config()):
                raise ClipReadError(text)

    def test_token_label_missed_in_a_worker(self):
        inside = 'Caught TokenLabelError in DataLoader worker process 0.\nOriginal Traceback:\n  ...\n' \
                 'mmuniformer.datasets.transforms.token_label.TokenLabelError: there is no folder a: fetch them\n'
        for text in (inside, 'there is no folder a: fetch them'):
            with pytest.raises(SystemExit, match='^there is no folder a: fetch them$'), \
                    launch.one_line_errors(Config()):
                raise TokenLabelError(text)

    @pytest.mark.parametrize('error', [NonFiniteError, CheckpointWriteError, CheckpointError, TooManyUnreadable])
    def test_known_ends_of_a_run(self, error):
        with pytest.raises(SystemExit, match='^what was wrong$'), launch.one_line_errors(Config()):
            raise error('what was wrong')

    def test_paths_of_every_framework(self):
        cfg = Config(dict(
            train_dataloader=dict(dataset=dict(
                type='RepeatDataset', dataset=dict(
                    data_root='data/coco/', ann_file='ann/train.json', data_prefix=dict(img='train/')))),
            val_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[
                dict(data_root='data/ade', data_prefix=dict(img_path='img', seg_map_path='seg'), ann_file=''),
                dict(data_root='s3://bucket', ann_file='a.json'),
                dict(data_prefix='/abs')])),
            test_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[
                dict(type='ImageNet', data_root='data/imagenet', split='val'),
                dict(data_root='data/coco', ann_file='ann/val.json', bbox_file='data/found.json')]))))
        assert dict(launch.data_paths(cfg)) == {
            'train_dataloader.dataset.dataset.ann_file': 'data/coco/ann/train.json',
            'train_dataloader.dataset.dataset.data_prefix.img': 'data/coco/train/',
            'val_dataloader.dataset.datasets.0.data_prefix.img_path': 'data/ade/img',
            'val_dataloader.dataset.datasets.0.data_prefix.seg_map_path': 'data/ade/seg',
            'val_dataloader.dataset.datasets.2.data_prefix': '/abs',
            'test_dataloader.dataset.datasets.0.data_root': 'data/imagenet',
            'test_dataloader.dataset.datasets.1.ann_file': 'data/coco/ann/val.json',
            'test_dataloader.dataset.datasets.1.bbox_file': 'data/found.json',
        }


class TestFitToMachine:

    def test_without_accelerator(self, monkeypatch):
        monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
        cfg = Config.fromfile(str(KINETICS))
        cfg.launcher = 'pytorch'
        notes = launch.fit_to_machine(cfg)
        assert cfg.optim_wrapper.type == 'OptimWrapper' and 'loss_scale' not in cfg.optim_wrapper
        assert cfg.optim_wrapper.clip_grad.max_norm == 20
        assert cfg.env_cfg.dist_cfg.backend == 'gloo' and cfg.model_wrapper_cfg.device_ids is None
        assert ['float32' in notes[0], 'gloo' in notes[1]] == [True, True]

    def test_one_process(self, monkeypatch):
        monkeypatch.setattr(launch, 'get_device', lambda: 'cpu')
        cfg = Config(dict(optim_wrapper=dict(type='OptimWrapper'), launcher='none'))
        assert launch.fit_to_machine(cfg) == [] and 'model_wrapper_cfg' not in cfg

    def test_checkpoint_hook(self):
        cfg = Config(dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=3))))
        launch.keep_checkpoints_whole(cfg)
        assert cfg.default_hooks.checkpoint == dict(type='mmuniformer.SafeCheckpointHook', interval=3)
        remote = dict(type='CheckpointHook', out_dir='s3://bucket')
        for left in (dict(default_hooks=dict(checkpoint=remote)), dict(default_hooks=dict()), dict(),
                     dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook')), runner_type='FlexibleRunner')):
            cfg = Config(copy.deepcopy(left))
            launch.keep_checkpoints_whole(cfg)
            assert cfg.to_dict() == left

    def test_with_a_gpu(self, monkeypatch):
        monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
        cfg = Config.fromfile(str(KINETICS))
        cfg.launcher = 'pytorch'
        before = cfg.pretty_text
        assert launch.fit_to_machine(cfg) == [] and cfg.pretty_text == before
