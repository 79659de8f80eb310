"""Exported files against PyTorch, for every kind of model, by other programs than the one that wrote them."""
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip('onnxscript', reason='needs mmuniformer[export]')
onnx = pytest.importorskip('onnx', reason='needs mmuniformer[export]')
onnxruntime = pytest.importorskip('onnxruntime', reason='needs mmuniformer[export]')

_spec = importlib.util.spec_from_file_location('export_tool', ROOT / 'tools/deployment/export.py')
export_tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(export_tool)

ARCH = dict(_delete_=True, depths=[1, 1, 2, 1], embed_dims=[64, 128, 320, 512], head_dim=64)
IMAGE, CLIP = (3, 64, 64), (3, 4, 64, 64)
CASES = {
    'image classifier': ('classification/uniformer/uniformer-small_8xb128_in1k.py', IMAGE),
    'image classifier, token labels': (
        'classification/uniformer/uniformer-small-plus_8xb128-token-label_in1k.py', IMAGE),
    'light image classifier': ('classification/uniformer_light/uniformer-xxs_8xb512_in1k-128px.py', IMAGE),
    'video classifier': ('recognition/uniformer/uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb.py', CLIP),
    'light video classifier': ('recognition/uniformer_light/{first}', CLIP),
    'backbone of a detector': ('detection/uniformer/{first}', IMAGE),
    'backbone of a segmentor': ('segmentation/uniformer/{first}', IMAGE),
    'backbone of a pose estimator': ('pose/uniformer/{first}', IMAGE),
}


def config(case) -> tuple[Config, tuple]:
    name, shape = CASES[case]
    path = ROOT / 'configs' / name
    if '{first}' in name:
        path = sorted(path.parent.glob('*.py'))[0]
    cfg = Config.fromfile(path)
    arch = {**ARCH, 'head_dim': 32} if 'light' in case else ARCH
    if 'uniformer-small-plus' in path.name:
        arch = {**arch, 'conv_stem': True}
    # `_delete_` of a Config merge: a name is replaced by a dict of sizes
    cfg.model.backbone.arch = {key: value for key, value in arch.items() if key != '_delete_'}
    cfg.model.backbone.with_cp = False
    return cfg, shape


def weights(cfg, path) -> str:
    """A checkpoint in which no running statistic is what a new model has."""
    init_default_scope(cfg.default_scope)
    model = MODELS.build({**cfg.model, 'backbone': {**cfg.model.backbone, 'init_cfg': None}})
    for name, tensor in model.state_dict().items():
        if name.endswith('running_mean'):
            tensor.normal_(0, 0.1)
        elif name.endswith('running_var'):
            tensor.uniform_(0.5, 2)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return str(path)


@pytest.mark.parametrize('case, suffix', [
    *((case, 'onnx') for case in CASES), ('video classifier', 'pt2'), ('backbone of a detector', 'pt2')])
def test_within_1e_4_of_pytorch(case, suffix, tmp_path, capsys):
    cfg, shape = config(case)
    is_classifier = 'classifier' in case
    checkpoint = weights(cfg, tmp_path / 'weights.pth')
    out = tmp_path / f'model.{suffix}'
    # its own check runs other batch sizes, and of backbones other heights and widths
    assert export_tool.export(cfg, checkpoint, out, shape=shape) <= 1e-4
    assert [path.name for path in tmp_path.iterdir() if path.name != 'weights.pth'] == [out.name]
    assert ('classifier of ' if is_classifier else 'backbone of ') in capsys.readouterr().out

    # and once more from outside: the file against the framework's own model
    reference = export_tool.build(cfg, checkpoint)
    x = torch.randn(3, *shape) if is_classifier else torch.randn(1, *shape[:-2], 96, 160)
    with torch.no_grad():
        if not is_classifier:
            expected = reference.backbone(x)
        elif cfg.default_scope == 'mmaction':
            expected = (reference(x[:, None], stage='head', mode='tensor'), )
        else:
            expected = (reference(x, mode='tensor'), )
    if suffix == 'onnx':
        session = onnxruntime.InferenceSession(str(out), providers=['CPUExecutionProvider'])
        outputs = [torch.from_numpy(each) for each in session.run(None, {'input': x.numpy()})]
        about = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
        facts = json.loads(about['mmuniformer.input'])
    else:
        extra = {'mmuniformer.json': ''}
        outputs = torch.export.load(out, extra_files=extra).module()(x)
        outputs = [outputs] if is_classifier else list(outputs)
        facts = json.loads(extra['mmuniformer.json'])['input']
    assert len(outputs) == len(expected)
    for ours, theirs in zip(outputs, expected):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * max(1, float(theirs.abs().max())))
    assert facts['mean'] == pytest.approx(list(cfg.model.data_preprocessor.mean) if 'data_preprocessor' in cfg.model
                                          and 'mean' in cfg.model.data_preprocessor else cfg.data_preprocessor.mean)


def command(*options) -> subprocess.CompletedProcess:
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    return subprocess.run([sys.executable, str(ROOT / 'tools/deployment/export.py'), *map(str, options)], env=env,
                          text=True, capture_output=True, timeout=200)


def test_the_command(tmp_path):
    result = command(ROOT / 'configs/demo/uniformer-demo_recognition.py', 'none', '--out', tmp_path / 'deep/model.onnx',
                     '--shape', 3, 4, 64, 64)
    assert result.returncode == 0, result.stderr
    assert 'classifier of Recognizer3D' in result.stdout and '3x3x4x64x64' in result.stdout
    assert (tmp_path / 'deep/model.onnx').is_file()


@pytest.mark.parametrize('change, options, text', [
    (dict(), ['--out', 'model.trt'], 'must end in .onnx or .pt2'),
    (dict(), ['--out', 'model.onnx', '--shape', 64, 64], '3 HEIGHT WIDTH'),
    (dict(checkpoint='gone.pth'), ['--out', 'model.onnx'], 'gone.pth'),
    (dict(config='gone.py'), ['--out', 'model.onnx'], 'No config file gone.py'),
])
def test_bad_input_is_one_line(change, options, text, tmp_path):
    given = dict(config=ROOT / 'configs/demo/uniformer-demo_recognition.py', checkpoint='none', **{}) | change
    result = command(given['config'], given['checkpoint'], *options)
    assert result.returncode != 0 and text in result.stderr and 'Traceback' not in result.stderr


def test_a_dense_model_is_no_classifier():
    cfg, _ = config('backbone of a segmentor')
    with pytest.raises(ValueError, match='only the backbone'):
        export_tool.export(cfg, 'none', Path('model.onnx'), part='classifier')


def test_a_file_that_differs_is_not_kept(tmp_path):
    cfg, shape = config('image classifier')
    with pytest.raises(ValueError, match='nothing was written'):
        export_tool.export(cfg, 'none', tmp_path / 'model.onnx', shape=shape, tolerance=0.)
    assert not list(tmp_path.iterdir())
