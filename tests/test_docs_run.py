"""Commands and Python of the pages on predicting, looking inside and exporting, run in the order in which they stand.

On small drawn files, with checkpoints of untrained networks. Those of docs/finetune.md run in tests/test_finetune.
"""
import re
import runpy
import shlex
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmuniformer.apis.zoo import load_config
from mmuniformer.datasets.generated.motion import write_video

from .test_docs import EXAMPLES, ROOT, of_blocks, words

VIDEO, IMAGE = (ROOT / f'configs/demo/uniformer-demo_{task}.py' for task in ('recognition', 'classification'))
#: Networks of full size at full resolution.
HEAVY = ('mask-rcnn_', 'upernet_', 'td-hm_')
#: What only a user has, by the words that say so: a camera (an image stands for it).
INPUTS = {'INPUT': 'clip.mp4', 'VIDEO': 'clip.mp4', 'IMAGE': 'photos/a.jpg', '0': 'photos/a.jpg'}


def commands(page: str) -> list:
    """The commands of a page that start a script of this project, the heavy ones marked as slow."""
    found = [shlex.join(words(line)) for line in of_blocks(ROOT / f'docs/{page}.md')]
    return [pytest.param(command, marks=[pytest.mark.slow] if any(each in command for each in HEAVY) else [])
            for command in found if command.startswith('python ') and 'demo/app.py' not in command]


def example(page: str, text: str) -> str:
    """The page's block of Python that holds the text."""
    code, = (code for where, *_, code in EXAMPLES if where == f'docs/{page}.md' and text in code)
    return code


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with the files that the commands name."""
    folder = tmp_path_factory.mktemp('pages')
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (20, 64, 80, 3), np.uint8)
    (folder / 'photos').mkdir()
    for name in ('a.jpg', 'b.jpg', 'people.jpg'):
        cv2.imwrite(str(folder / ('photos' if len(name) == 5 else '') / name), frames[0])
    write_video(folder / 'clip.mp4', frames, 10)
    write_video(folder / 'street.mp4', frames[:2], 10)
    return folder


def checkpoint(config: str, path: Path) -> None:
    """Write one of the untrained network of a config of the zoo."""
    if path.exists():
        return
    cfg = load_config(config)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)


def run(command: str, config: Path, place: Path, monkeypatch) -> None:
    """Run a command in a folder, with real names in place of CONFIG, CHECKPOINT, VIDEO and the like."""
    _, script, *arguments = shlex.split(command)
    names = {'CONFIG': str(config), 'CONFIG_OR_ZOO_NAME': config.stem, 'CHECKPOINT': f'{config.stem}.pth', **INPUTS}
    arguments = [names.get(word, word) for word in arguments]
    for before, word in zip(arguments, arguments[1:]):
        if word.endswith('.pth'):
            checkpoint(before, place / word)
    if '--seconds' in arguments:  # of a camera
        at = arguments.index('--seconds')
        del arguments[at:at + 2]
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, 'argv', [script, *arguments])
    monkeypatch.syspath_prepend(str((ROOT / script).parent))
    try:
        runpy.run_path(str(ROOT / script), run_name='__main__')
    except SystemExit as end:
        assert not end.code, end.code


@pytest.mark.parametrize('command', commands('predict'))
def test_predict(command, place, monkeypatch):
    out = place / (re.findall(r'--out (\S+)', command) or ['predictions'])[0]
    for path in out.glob('*.json'):  # of the command before
        path.unlink()
    run(command, VIDEO, place, monkeypatch)
    assert len(list(out.glob('*.json'))) == (2 if 'photos/' in command else 1)


def test_predict_in_python(place, monkeypatch, capsys):
    checkpoint(str(VIDEO), place / f'work_dirs/demo/recognition/epoch_{load_config(str(VIDEO)).max_epochs}.pth')
    monkeypatch.chdir(place)
    exec(compile(example('predict', 'Predictor('), 'predict.md', 'exec'), {})
    assert re.search(r"^\{'label': \d, 'name': '.+', 'score': 0\.\d+\}$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize('command', commands('visualization'))
def test_visualization(command, place, monkeypatch):
    run(command, IMAGE if 'IMAGE' in command else VIDEO, place, monkeypatch)
    assert cv2.imread(str(place / re.search(r'--out (\S+)', command)[1])) is not None


def test_visualization_in_python(place, monkeypatch):
    checkpoint(str(VIDEO), place / 'video.pth')
    scope = dict(config=str(VIDEO), checkpoint=str(place / 'video.pth'), path=str(place / 'clip.mp4'))
    exec(compile(example('visualization', 'attention_of('), 'visualization.md', 'exec'), scope)
    frames = scope['frames']
    assert frames.ndim == 4 and frames.shape[3] == 3 and frames.dtype == np.uint8
    assert scope['values'].sum() == pytest.approx(1, abs=1e-3)


@pytest.fixture(scope='module')
def exported(place):
    """The folder after the page's commands, of a classifier whose config tells the size of its images."""
    pytest.importorskip('onnxruntime')
    crop = [dict(type='LoadImageFromFile'), dict(type='CenterCrop', crop_size=64), dict(type='PackInputs')]
    (place / 'own.py').write_text(f'_base_ = {str(IMAGE)!r}\nval_dataloader = dict(dataset=dict(pipeline={crop}))\n')
    with pytest.MonkeyPatch.context() as monkeypatch:
        for command in commands('export'):
            run(*command.values, place / 'own.py', place, monkeypatch)
    return place


def test_export(exported, monkeypatch):
    assert (exported / 'model.onnx').is_file() and (exported / 'model.pt2').is_file()
    monkeypatch.chdir(exported)
    scope = {}
    exec(compile(example('export', 'onnxruntime'), 'export.md', 'exec'), scope)
    assert scope['scores'].shape == (2, 10) and np.isfinite(scope['scores']).all()
