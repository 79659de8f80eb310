"""tools/deployment/export.py: its files, run by other programs, against the frameworks' own models."""
import importlib.util
import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

import mmuniformer  # noqa: F401
from mmuniformer.apis.model import load_model
from mmuniformer.engine.launch import read_config

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / 'configs/demo'
#: Demos with fewer blocks, or another backbone.
CHANGED = dict(
    windows_segmentation=f"""
_base_ = '{DEMO}/uniformer-demo_segmentation.py'
model = dict(backbone=dict(arch=dict(depths=[1, 1, 1, 1])))
""",
    light_detection=f"""
_base_ = '{DEMO}/uniformer-demo_detection.py'
model = dict(backbone=dict(_delete_=True, type='mmuniformer.UniFormerLight',
                           arch=dict(depths=[1, 1, 2, 1], embed_dims=[32, 64, 96, 128], head_dim=32)))
""")
FRAMEWORKS = {'classification': 'mmpretrain', 'recognition': 'mmaction', 'segmentation': 'mmseg', 'detection': 'mmdet'}


def _tool():
    spec = importlib.util.spec_from_file_location('export_tool', ROOT / 'tools/deployment/export.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _trained(name: str, folder: Path) -> tuple[str, str]:
    """A demo's config, and a checkpoint in which no score ties and no running statistic is what a new model has."""
    pytest.importorskip(FRAMEWORKS[name.rpartition('_')[2]])
    config = DEMO / f'{name}.py'
    if name in CHANGED:
        config = folder / f'{name}.py'
        config.write_text(CHANGED[name])
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    model = MODELS.build(cfg.model)
    for key, value in model.state_dict().items():
        if key.endswith('running_var'):
            value.uniform_(0.5, 2)
        elif key.endswith('running_mean') or value.ndim == 1 and key.endswith('bias'):
            value.normal_(0, 0.1)
        elif value.ndim == 2 or key.endswith('cls_token'):
            value.normal_(0, 0.15)
    torch.save(dict(state_dict=model.state_dict(), meta={}), folder / 'trained.pth')
    return str(config), str(folder / 'trained.pth')


@pytest.mark.parametrize('name, shape, options, suffix', [
    ('uniformer-demo_classification', (3, 64, 64), [], 'onnx'),
    ('uniformer-demo_classification', (3, 64, 64), ['--deploy'], 'pt2'),
    ('uniformer-demo_recognition', (3, 8, 64, 64), ['--deploy'], 'onnx'),
    ('uniformer-light-demo_recognition', (3, 8, 64, 64), [], 'onnx'),
    ('windows_segmentation', (3, 96, 160), [], 'onnx'),
    ('light_detection', (3, 96, 160), ['--deploy'], 'pt2'),
    pytest.param('light_detection', (3, 96, 160), [], 'onnx', marks=pytest.mark.slow),
])
def test_file_within_1e_4_of_pytorch(name, shape, options, suffix, tmp_path, capsys):
    onnxruntime = pytest.importorskip('onnxruntime') if suffix == 'onnx' else None
    config, checkpoint = _trained(name, tmp_path)
    out = tmp_path / 'out' / f'model.{suffix}'
    _tool().main([config, checkpoint, '--out', str(out), *options, '--shape', *map(str, shape)])
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    is_classifier = 'classification' in name or 'recognition' in name
    said = capsys.readouterr().out
    assert ('classifier of' if is_classifier else 'batch, height, width') in said

    # once more from outside: other batches, heights and widths, and the framework's model
    cfg = read_config(config)
    model = load_model(cfg, checkpoint)
    # A program of torch.export takes no map of a side of one where its example had none.
    least = 32 if suffix == 'onnx' else 64
    sizes = [(1, *shape), (4, *shape)] if is_classifier else [(2, 3, 224, 160), (1, 3, least, 96), (1, 3, 100, 141)]
    extra = {'mmuniformer.json': ''}
    if suffix == 'onnx':
        import onnx
        session = onnxruntime.InferenceSession(str(out), providers=['CPUExecutionProvider'])
        about = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
        facts = json.loads(about['mmuniformer.input'])
    else:
        program = torch.export.load(out, extra_files=extra).module()
        facts = json.loads(extra['mmuniformer.json'])['input']
    for size in sizes:
        x = torch.randn(size)
        with torch.no_grad():
            if not is_classifier:
                expected = model.backbone(x)
            elif cfg.default_scope == 'mmaction':
                expected = [model.cls_head(model.backbone(x))]
            else:
                expected = [model.head(model.neck(model.backbone(x)))]
        outputs = program(x) if suffix == 'pt2' else session.run(None, {'input': x.numpy()})
        assert len(outputs) == len(expected)
        for ours, theirs in zip(outputs, expected):
            assert theirs.std() > 1e-2, 'outputs that are all the same would show nothing'
            torch.testing.assert_close(torch.as_tensor(ours), theirs, rtol=0,
                                       atol=1e-4 * max(1, float(theirs.abs().max())))
    # what a program needs to prepare the input
    assert facts['mean'] == pytest.approx(model.data_preprocessor.mean.flatten().tolist())
    assert facts['layout'] == ('BCTHW' if len(shape) == 4 else 'BCHW') and facts['color_order'] == 'RGB'


def _refused(*argv) -> str:
    with pytest.raises(SystemExit) as refusal:
        _tool().main([str(each) for each in argv])
    assert '\n' not in str(refusal.value)
    return str(refusal.value)


def test_bad_input_is_one_sentence(tmp_path):
    config, checkpoint = _trained('uniformer-demo_classification', tmp_path)
    out = tmp_path / 'model.pt2'
    assert 'must end in .onnx or .pt2' in _refused(config, checkpoint, '--out', tmp_path / 'model.trt')
    assert 'gone.pth' in _refused(config, tmp_path / 'gone.pth', '--out', out)
    assert 'No config file' in _refused(tmp_path / 'gone.py', checkpoint, '--out', out)
    assert '3 HEIGHT WIDTH' in _refused(config, checkpoint, '--out', out, '--shape', 3, 8, 64, 64)
    assert 'give --shape' in _refused(config, checkpoint, '--out', out)
    assert 'at least 32' in _refused(config, checkpoint, '--out', out, '--shape', 3, 16, 16)
    assert 'does not fit' in _refused(config, checkpoint, '--out', out, '--cfg-options',
                                      'model.backbone.arch.embed_dims=[32,64,96,160]', 'model.head.in_channels=160')
    assert not out.exists()


def test_dense_model_is_no_classifier(tmp_path):
    config, checkpoint = _trained('uniformer-demo_segmentation', tmp_path)
    message = _refused(config, checkpoint, '--out', tmp_path / 'model.pt2', '--part', 'classifier')
    assert 'EncoderDecoder is no classifier' in message and '--part backbone' in message


@pytest.mark.slow
def test_untrained_light_model_is_refused(tmp_path):
    """Its class token is zero, so it attends to every token alike, and which half is kept is anybody's choice."""
    pytest.importorskip('onnxruntime')
    config, checkpoint = _trained('uniformer-light-demo_recognition', tmp_path)
    content = torch.load(checkpoint)
    for key, value in content['state_dict'].items():
        if key.endswith('cls_token') or 'attn.qkv' in key:
            value.zero_()
    torch.save(content, checkpoint)
    message = _refused(config, checkpoint, '--out', tmp_path / 'model.onnx', '--shape', 3, 8, 64, 64)
    assert 'was not kept. A light model keeps the tokens of the highest scores' in message
    assert not (tmp_path / 'model.onnx').exists()
