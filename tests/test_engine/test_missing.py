"""What is said to install."""
import re
from pathlib import Path

import pytest

from mmuniformer.engine.missing import INSTALL, advice, missing_in_one_line

REQUIREMENTS = Path(__file__).resolve().parents[2] / 'requirements'


@pytest.mark.parametrize('extra, names', [
    ('video', ['mmaction', 'mmaction2']), ('detection', ['mmdet']), ('segmentation', ['mmseg', 'mmsegmentation']),
    ('classification', ['mmpretrain']), ('pose', ['xtcocotools']), ('export', ['onnx', 'onnxruntime', 'onnxscript'])])
def test_as_in_requirements(extra, names):
    lines = (line.split('#')[0].strip() for line in (REQUIREMENTS / f'{extra}.txt').read_text().splitlines())
    wanted = {line for line in lines if line} - {'numpy'}
    for name in names:
        assert set(INSTALL[name].replace('"', '').split()) == wanted


def test_mmpose_without_what_it_asks_for():
    command = re.search(r'`pip install (.+)`', (REQUIREMENTS / 'pose.txt').read_text())[1]
    assert INSTALL['mmpose'] == command


def test_known_modules_alone():
    with pytest.raises(SystemExit, match=r'^a.py needs decord: pip install decord$'), missing_in_one_line('a.py'):
        raise ModuleNotFoundError("No module named 'decord'", name='decord')
    with pytest.raises(ModuleNotFoundError), missing_in_one_line():
        raise ModuleNotFoundError("No module named 'mmuniformer.gone'", name='mmuniformer.gone')
    assert advice(ModuleNotFoundError('mmdet is not installed, please install mmdet manually')).startswith('mmdet: pip')
    assert advice(ImportError('cannot import name x from mmdet', name='mmdet')) is None
