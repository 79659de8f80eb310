"""What is installed: the wheel (made from the source distribution), an editable install, and what they ask for."""
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ('configs', 'demo', 'tools', 'model-index.yml')
FRAMEWORKS = {'video': 'mmaction2', 'detection': 'mmdet', 'segmentation': 'mmsegmentation',
              'classification': 'mmpretrain'}

USE = """
import sys
from pathlib import Path
import mmuniformer
from mmengine import Config
from mmengine.registry import MODELS

Path('mine.py').write_text("_base_ = 'mmuniformer::recognition/uniformer/" + sys.argv[1] + "'\\n"
                           "model = dict(backbone=dict(drop_path_rate=0.25))\\n")
cfg = Config.fromfile('mine.py')
backbone = MODELS.build({**cfg.model.backbone, 'init_cfg': None})
print(Path(mmuniformer.__file__).parent, type(backbone).__name__, cfg.model.backbone.drop_path_rate)
"""


def _run(*command, **kwargs) -> str:
    env = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    result = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, env=env, **kwargs)
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope='module')
def source(tmp_path_factory) -> Path:
    """A copy of the checkout, so that building leaves nothing in it and nothing left there gets into the wheel."""
    folder = tmp_path_factory.mktemp('source') / 'mmuniformer'
    ignored = shutil.ignore_patterns('.*', 'build', 'dist', '*.egg-info', 'work_dirs', 'data', '__pycache__')
    shutil.copytree(ROOT, folder, ignore=ignored)
    return folder


@pytest.fixture(scope='module')
def wheel(source, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('dist')
    _run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', folder, source)
    return next(folder.glob('*.whl'))


def _environment(folder: Path) -> Path:
    """The Python of a new environment that sees this one's packages, but none of its editable installs."""
    venv.create(folder, symlinks=True)
    python = folder / 'bin' / 'python'
    site_packages = _run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))').strip()
    Path(site_packages, 'outer.pth').write_text(sysconfig.get_path('purelib'))
    return python


def _install(python: Path, *arguments):
    _run(sys.executable, '-m', 'pip', '--python', python, 'install', '-q', '--no-deps', '--no-index', *arguments)


def _config() -> str:
    return min(path.name for path in (ROOT / 'configs' / 'recognition' / 'uniformer').glob('uniformer-small*.py'))


def test_wheel_holds_package_and_mim(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in {path.parent for path in (ROOT / 'mmuniformer').rglob('*.py')}:
        for path in package.glob('*.py'):
            assert path.relative_to(ROOT).as_posix() in names
    for shipped in SHIPPED:
        if (ROOT / shipped).exists():
            assert any(name.startswith(f'mmuniformer/.mim/{shipped}') for name in names), shipped
    for path in (ROOT / 'configs').rglob('*.py'):
        assert f'mmuniformer/.mim/{path.relative_to(ROOT).as_posix()}' in names
    strange = [name for name in names if not name.startswith('mmuniformer') or '__pycache__' in name or '/dev/' in name]
    assert not strange


def test_wheel_asks_for_little(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(next(name for name in archive.namelist() if name.endswith('/METADATA'))).decode()
    asked = re.findall(r'^Requires-Dist: ([\w-]+)([^;\n]*)(?:; extra == [\'"](\w+)[\'"])?', metadata, re.M)
    assert {name for name, _, extra in asked if not extra} == {'numpy', 'torch'}
    for extra, framework in FRAMEWORKS.items():
        names = {name for name, _, of in asked if of == extra}
        assert framework in names
        assert names <= {name for name, _, of in asked if of == 'all'}
        # two packages of the registry hold each of these under one import name: whoever has one keeps it
        assert not names & {'mmcv', 'mmengine'}
    assert {name for name, _, of in asked if of == 'mim'} == {'mmcv', 'mmengine'}


def test_installed_wheel_finds_its_configs(wheel, tmp_path):
    python = _environment(tmp_path / 'env')
    _install(python, wheel)
    output = _run(python, '-c', USE, _config(), cwd=tmp_path).split('\n')[-2].split()
    assert Path(output[0]).is_relative_to(tmp_path / 'env')
    assert output[1:] == ['UniFormer3D', '0.25']


def test_editable_install_finds_its_configs(source, tmp_path):
    python = _environment(tmp_path / 'env')
    _install(python, '--no-build-isolation', '-e', source)
    output = _run(python, '-c', USE, _config(), cwd=tmp_path).split('\n')[-2].split()
    assert Path(output[0]) == source / 'mmuniformer'
    assert output[1:] == ['UniFormer3D', '0.25']
    assert (source / 'mmuniformer' / '.mim' / 'configs').resolve() == source / 'configs'
