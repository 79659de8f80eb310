"""Each mend of ``mmuniformer.compat``, tested by what fails without it where that can be told cheaply."""
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from pickle import UnpicklingError

import mmcv
import mmengine
import numpy as np
import pytest
import torch
from mmengine import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner

from mmuniformer import compat

ROOT = Path(__file__).resolve().parents[1]


def _python(code: str, *arguments, path: Path | None = None) -> str:
    """Run code in a new interpreter that finds the package, with ``path`` before all else."""
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(str(part) for part in (path, ROOT) if part)}
    result = subprocess.run([sys.executable, '-W', 'ignore', '-c', code, *map(str, arguments)], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, env=env)
    return f'{result.stdout}\nexit status {result.returncode}'


WITHOUT = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Without())
"""


# ---- what mmuniformer stands on -------------------------------------------------------------------------------------


@pytest.mark.parametrize('name', ['torch', 'mmengine', 'mmcv'])
def test_missing_library_is_named(name):
    output = _python(WITHOUT.format(name=name) + 'import mmuniformer')
    assert f'ImportError: mmuniformer needs {name} >= {compat.MIN_VERSIONS[name]}, which is not installed' in output
    assert compat._HOW_TO_INSTALL[name] in output


@pytest.mark.parametrize('version, message', [
    ("__version__ = '1.7.2'", 'needs mmcv >= 2.0.0, found 1.7.2'),
    ('', "is not OpenMMLab's"),
    ('import pkg_resources_of_old', "the module 'pkg_resources_of_old' is missing"),
])
def test_unfit_library_is_named(tmp_path, version, message):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text(version)
    output = _python('import mmuniformer', path=tmp_path)
    assert 'ImportError' in output
    assert message in output


def test_missing_pkg_resources_is_explained(tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('import pkg_resources')
    output = _python(WITHOUT.format(name='pkg_resources') + 'import mmuniformer', path=tmp_path)
    assert 'pip install "setuptools<81"' in output


@pytest.mark.parametrize('version, numbers', [
    ('2.1.0', (2, 1, 0)), ('2.11.0+cu130', (2, 11, 0)), ('2.0.0rc4', (2, 0, 0)), ('0.10', (0, 10)), ('x.1', ())])
def test_release(version, numbers):
    assert compat._release(version) == numbers


def test_apply_twice_changes_nothing():
    finders, hue, path = list(sys.meta_path), mmcv.adjust_hue, mmengine.utils.get_installed_path
    compat.apply()
    assert (sys.meta_path, mmcv.adjust_hue, mmengine.utils.get_installed_path) == (finders, hue, path)


def test_importing_mmuniformer_imports_no_framework():
    names = ('mmaction', 'mmdet', 'mmpose', 'mmpretrain', 'mmseg')
    output = _python(f'import sys, mmuniformer; print([name for name in {names} if name in sys.modules])')
    assert output.split('\n')[-3] == '[]'


# ---- packages and configs -------------------------------------------------------------------------------------------

LOAD_CONFIG = """
from mmengine import Config
open('mine.py', 'w').write("_base_ = 'mmdet::_base_/datasets/coco_instance.py'")
print(Config.fromfile('mine.py').dataset_type)
"""


def test_configs_of_packages_without_pkg_resources(tmp_path):
    pytest.importorskip('mmdet')
    go = f'import os; os.chdir({str(tmp_path)!r})\n'
    without = WITHOUT.format(name='pkg_resources')
    if compat._release(mmengine.__version__) <= (0, 10, 7):
        assert "No module named 'pkg_resources'" in _python(go + without + LOAD_CONFIG)
    assert 'CocoDataset\n\nexit status 0' in _python(go + without + 'import mmuniformer\n' + LOAD_CONFIG)


def test_installed_path(tmp_path, monkeypatch):
    assert compat.get_installed_path('mmcv') == os.path.dirname(mmcv.__file__)
    assert compat.get_installed_path('mmuniformer') == str(ROOT / 'mmuniformer')
    if importlib.util.find_spec('mmaction'):  # the distribution's name differs from the module's
        assert compat.get_installed_path('mmaction2').endswith(f'{os.sep}mmaction')
        assert compat.is_installed('mmaction2') and compat.is_installed('mmaction')
    with pytest.raises(importlib.metadata.PackageNotFoundError, match='no_such_package'):
        compat.get_installed_path('no_such_package')
    assert not compat.is_installed('no_such_package')
    (tmp_path / 'only_a_folder').mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not compat.is_installed('only_a_folder')
    with pytest.raises(RuntimeError, match='namespace package'):
        compat.get_installed_path('only_a_folder')


def test_newer_mmengine_keeps_its_own_look_up(monkeypatch):
    monkeypatch.setattr(mmengine, '__version__', '0.10.12')
    monkeypatch.setattr(mmengine.utils, 'get_installed_path', len)
    compat.apply()
    assert mmengine.utils.get_installed_path is len


# ---- checkpoints ----------------------------------------------------------------------------------------------------


class Line(BaseModel):
    """The smallest model that a Runner trains."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, inputs, target, mode='tensor'):
        output = self.linear(inputs)
        return {'loss': (output - target).square().mean()} if mode == 'loss' else output


class Score(BaseMetric):
    """Gives numbers of numpy, as many metrics do."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'score': np.float64(len(results)), 'part': np.float32(0.5)}


def _runner(work_dir: Path, **kwargs) -> Runner:
    torch.manual_seed(0)  # the model is made before the Runner sets its seed
    data = [dict(inputs=torch.tensor([float(i), 1.]), target=torch.tensor([2. * i])) for i in range(4)]
    loader = dict(batch_size=2, dataset=data, sampler=dict(type='DefaultSampler', shuffle=True),
                  collate_fn=dict(type='default_collate'))
    return Runner(
        model=Line(), work_dir=str(work_dir), train_dataloader=loader, val_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=4, val_interval=1), val_cfg={}, val_evaluator=[Score()],
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01)),
        param_scheduler=[dict(type='CosineAnnealingLR', T_max=4), dict(type='LinearLR', start_factor=0.1, end=1)],
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1, save_best='score', rule='greater'),
                           logger=dict(type='LoggerHook', interval=1)),
        custom_hooks=[dict(type='EMAHook')], randomness=dict(seed=0), experiment_name=work_dir.name, **kwargs)


@pytest.fixture(scope='module')
def trained(tmp_path_factory) -> Runner:
    """A whole run, with a checkpoint after each of its four epochs."""
    runner = _runner(tmp_path_factory.mktemp('run'))
    runner.train()
    return runner


def test_checkpoint_needs_the_mend(trained):
    checkpoint = Path(trained.work_dir, 'epoch_2.pth')
    load = 'import sys, torch, mmengine.logging\ntorch.load(sys.argv[1])\nprint("loaded")'
    assert 'Unsupported global' in _python(load, checkpoint)
    assert 'loaded' in _python('import mmuniformer\n' + load, checkpoint)


def test_runner_resumes(trained, tmp_path):
    resumed = _runner(tmp_path, load_from=str(Path(trained.work_dir, 'epoch_2.pth')), resume=True)
    resumed.train()
    for name, weight in trained.model.state_dict().items():
        torch.testing.assert_close(resumed.model.state_dict()[name], weight, rtol=0, atol=0)
    # what was logged before is there again, statistics and all
    history, expected = (runner.message_hub.get_scalar('train/loss') for runner in (resumed, trained))
    assert len(history.data[0]) == 8
    assert history.statistics('mean', 8) == expected.statistics('mean', 8)
    assert resumed.message_hub.get_info('best_score') == trained.message_hub.get_info('best_score')


class _Runs:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('content, refused', [
    (_Runs(os.system, 'touch hacked'), 'system'),
    (_Runs(eval, '1'), 'eval'),
    (_Runs(getattr, np.ndarray, 'tofile'), "attribute 'tofile'"),
    (_Runs(getattr, mmengine.logging.HistoryBuffer, '__init__'), "attribute '__init__'"),
    (_Runs(getattr, torch.FloatTensor, '__class__'), "attribute '__class__'"),
])
def test_code_in_a_checkpoint_is_refused(content, refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'state_dict': content}, 'file.pth')
    with pytest.raises(UnpicklingError, match=refused):
        torch.load('file.pth', weights_only=True)
    assert not Path('hacked').exists()


@pytest.mark.parametrize('value', [
    np.float64(0.5), np.float32(0.5), np.int64(3), np.bool_(True), np.zeros((2, 3), np.float16), np.arange(3),
    np.array([True]), np.array(['a', 'bc']), np.zeros((0,), np.uint8)])
def test_numpy_values_survive(value, tmp_path):
    torch.save({'value': value}, tmp_path / 'file.pth')
    loaded = torch.load(tmp_path / 'file.pth', weights_only=True)['value']
    assert type(loaded) is type(value) and loaded.dtype == value.dtype
    assert np.array_equal(loaded, value)


# ---- MMAction2's missing folder --------------------------------------------------------------------------------------

USE_DRN = """
import mmaction.models
from mmaction.registry import MODELS
print(sorted(name for name in MODELS.module_dict if name in ('BMN', 'UniFormer', 'DRN')))
MODELS.build(dict(type='DRN'))
"""


def test_mmaction_models_import():
    pytest.importorskip('mmaction')
    if not (Path(compat.get_installed_path('mmaction')) / 'models' / 'localizers' / 'drn').exists():
        assert "No module named 'mmaction.models.localizers.drn'" in _python(USE_DRN)
    output = _python('import mmuniformer\n' + USE_DRN)
    assert "['BMN', 'DRN', 'UniFormer']" in output
    assert 'mmaction2#2714' in output.split('\n')[-3]


@pytest.mark.parametrize('version, own, expected', [
    ('1.2.0', False, 'supplied'), ('1.2.0', True, 'own'),
    ('1.3.0', False, "No module named 'mmaction.models.localizers.drn'")])
def test_drn_is_supplied_only_where_missing(tmp_path, version, own, expected):
    folder = tmp_path / 'mmaction' / 'models' / 'localizers'
    (folder / 'drn').mkdir(parents=True)
    for package in (tmp_path / 'mmaction', folder.parent, folder):
        (package / '__init__.py').write_text(f'__version__ = {version!r}')
    (tmp_path / 'mmaction' / 'registry.py').write_text("from mmengine.registry import Registry\nMODELS = Registry('x')")
    if own:
        (folder / 'drn' / '__init__.py').write_text('')
        (folder / 'drn' / 'drn.py').write_text("DRN = 'own'")
    else:
        (folder / 'drn').rmdir()
    output = _python('import mmuniformer\nfrom mmaction.models.localizers.drn.drn import DRN\n'
                     'print(DRN if DRN == "own" else "supplied")', path=tmp_path)
    assert expected in output


# ---- numpy 2 --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
def test_hue_shifts_both_ways(backend):
    if compat._release(np.__version__) >= (2,) and compat._release(mmcv.__version__) < (2, 3):
        with pytest.raises(OverflowError):
            mmcv.adjust_hue.__wrapped__(np.zeros((2, 2, 3), np.uint8), -0.1, backend)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    # the hue is a circle: half a turn down is half a turn up, but for two steps of 256
    down, up = (mmcv.adjust_hue(image, factor, backend).astype(int) for factor in (-127 / 255, 127 / 255))
    assert np.abs(down - up).mean() < 4
    assert np.abs(mmcv.adjust_hue(image, -0.1, backend).astype(int) - image).mean() > 10
    blue = np.array([[[255, 0, 0]]], np.uint8)  # in BGR: a third of a turn down is green, up is red
    assert mmcv.adjust_hue(blue, -1 / 3, backend).argmax() == 1
    assert mmcv.adjust_hue(blue, 1 / 3, backend).argmax() == 2


def test_color_jitter_of_mmaction():
    transforms = pytest.importorskip('mmaction.datasets.transforms')
    jitter = transforms.ColorJitter(brightness=0, contrast=0, saturation=0, hue=0.1)
    blue = np.array([[[0, 0, 255]]], np.float32)  # in RGB
    assert jitter.adjust_hue(blue, -60 / 255).argmax() == 1
    assert jitter.adjust_hue(blue, 60 / 255).argmax() == 0
    red = np.array([[[255, 0, 0]]], np.float32)  # hue 0: down goes over the top of the circle
    assert jitter.adjust_hue(red, -60 / 255).argmax() == 2
    np.random.seed(0)
    for _ in range(20):
        jitter.transform({'imgs': [np.full((4, 4, 3), 100, np.uint8)]})


def test_bfloat16_scores_of_mmaction_heads():
    heads = pytest.importorskip('mmaction.models.heads')
    from mmaction.structures import ActionDataSample
    head = heads.I3DHead(num_classes=3, in_channels=4, average_clips='prob')
    scores = torch.tensor([[0., 1, 2], [2, 1, 0]], dtype=torch.bfloat16)
    samples = [ActionDataSample().set_gt_label(label) for label in (2, 1)]
    losses = head.loss_by_feat(scores, samples)
    assert losses['top1_acc'] == 0.5 and losses['loss_cls'].dtype == torch.float32
    assert head.predict_by_feat(scores, samples)[0].pred_score.numpy().argmax() == 2


def test_mmpose_draws_keypoints():
    visualization = pytest.importorskip('mmpose.visualization')
    from mmengine.structures import InstanceData
    from mmpose.structures import PoseDataSample
    visualizer = visualization.PoseLocalVisualizer(radius=3)
    visualizer.kpt_color, visualizer.skeleton = [(255, 0, 0)], None
    image = np.zeros((20, 20, 3), np.uint8)
    for visible in (1., 0.5):  # opaque and not: two branches
        instances = InstanceData(keypoints=np.array([[[10., 10.]]]), keypoint_scores=np.array([[visible]]))
        visualizer.add_datasample('x', image, PoseDataSample(pred_instances=instances), draw_gt=False, draw_bbox=False)
        assert visualizer.get_image()[10, 10, 0] > 100


def test_mend_waits_for_the_import(tmp_path):
    (tmp_path / 'late.py').write_text('value = 1')
    output = _python("""
import sys
from mmuniformer import compat
def mend(module):
    module.value += 1
compat._after_import('late', mend)
compat._after_import('late', mend)
assert 'late' not in sys.modules
import late
print(late.value, late.__spec__.name)
sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, compat._AfterImport)]
compat._after_import('late', mend)
print(late.value)
""", path=tmp_path)
    assert '2 late\n3\n' in output


def test_config_table_knows_mmuniformer(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'mmuniformer::_base_/no_such_config.py'")
    with pytest.raises(FileNotFoundError, match='no_such_config'):
        Config.fromfile(tmp_path / 'mine.py')


def test_types_in_a_base_of_ours_are_the_frameworks(tmp_path):
    """MMEngine would look for ``ImageClassifier`` among the backbones here."""
    base = 'mmuniformer::classification/uniformer/uniformer-small_8xb128_in1k.py'
    (tmp_path / 'mine.py').write_text(f'_base_ = {base!r}\nmodel = dict(head=dict(num_classes=3))')
    code = ('import sys, mmuniformer\n'
            'from mmengine import Config, MODELS, init_default_scope\n'
            'cfg = Config.fromfile(sys.argv[1])\n'
            'init_default_scope(cfg.default_scope)\n'
            'print(type(MODELS.build(cfg.model)).__module__)')
    assert 'mmpretrain.models.classifiers.image' in _python(code, tmp_path / 'mine.py')
