"""The set-up of a checkout: what it says when something is missing, and that a second run does nothing."""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def dev(tmp_path, monkeypatch):
    """Imports a module of ``tools/dev`` out of a copy of it, so that it works on the copy's checkout."""
    shutil.copytree(ROOT / 'tools' / 'dev', tmp_path / 'tools' / 'dev')
    shutil.copytree(ROOT / 'requirements', tmp_path / 'requirements')
    for name in ('setup.py', 'pyproject.toml'):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.syspath_prepend(tmp_path / 'tools' / 'dev')
    names = ('machine', 'places', 'progress', 'setup_env', 'wheels')
    yield lambda name: __import__(name)
    for name in names:
        sys.modules.pop(name, None)


def test_python_found_is_one_that_serves(dev):
    version, headers = dev('machine').probe(dev('machine').find_python())
    assert (3, 10) <= version <= (3, 12)
    assert headers


def test_no_python(dev, tmp_path, monkeypatch):
    machine = dev('machine')
    monkeypatch.delenv('MMUNIFORMER_PYTHON', raising=False)
    monkeypatch.setattr(machine, 'MIN_PYTHON', (3, 99))
    with pytest.raises(machine.Failed, match=rf'{sys.executable}: is Python 3\.\d+\n'):
        machine.find_python()
    broken = tmp_path / 'python3.11'
    broken.write_text('#!/bin/sh\nexit 127\n')  # as pyenv's shims do for a version that is not active
    broken.chmod(0o755)
    monkeypatch.setenv('MMUNIFORMER_PYTHON', str(broken))
    with pytest.raises(machine.Failed, match=f'{broken}: does not run'):
        machine.find_python()


@pytest.mark.parametrize('compiler', ['false', 'no-such-compiler'])
def test_no_compiler(dev, monkeypatch, compiler):
    machine = dev('machine')
    monkeypatch.setenv('CXX', compiler)
    with pytest.raises(machine.Failed, match=rf'`{compiler}` does not run or refuses.*apt install g\+\+'):
        machine.check_compiler()


def test_no_room(dev, monkeypatch):
    machine = dev('machine')
    monkeypatch.setattr(machine, 'GIGABYTES_NEEDED', 1e9)
    with pytest.raises(machine.Failed, match='GB are free at'):
        machine.check_disk()


def test_progress_of_pip_and_ninja(dev):
    status = dev('setup_env').PipStatus(3)
    assert status('Collecting torch==2.11.0 (from -r lock.txt (line 3))') == '[1/3] torch==2.11.0'
    assert status('  Downloading torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl (530.6 MB)'
                  ) == '[1/3, 0.53 GB downloaded] torch==2.11.0'
    status('Requirement already satisfied: pip==26.3 in /x')
    assert status('Installing collected packages: a, b') == '[2/3, 0.53 GB downloaded] writing files'
    wheels = dev('wheels')
    assert wheels._ninja_status('  [12/77] c++ -MMD -MF x.o.d') == '[12/77] compiled'
    assert wheels._ninja_status('x.cpp:3:1: warning: a[1/2] is odd') is None


@pytest.mark.parametrize('release, device', [('13.0', 'cu130-sm90'), ('12.4', 'cpu'), (None, 'cpu')])
def test_cuda_operators_need_the_compiler_of_torch(dev, tmp_path, monkeypatch, release, device):
    monkeypatch.setenv('CUDA_HOME', str(tmp_path))
    if release:
        nvcc = tmp_path / 'bin' / 'nvcc'
        nvcc.parent.mkdir()
        nvcc.write_text(f'#!/bin/sh\necho "Cuda compilation tools, release {release}, V{release}.1"\n')
        nvcc.chmod(0o755)
    headers = dev('places').VENV / 'lib' / 'python3.11' / 'site-packages' / 'nvidia' / 'cu13' / 'include'
    headers.mkdir(parents=True)
    env = {'CPATH': '/mine'}
    assert dev('wheels')._use_cuda(env, '13.0', '9.0') == device
    cuda = {'CPATH': f'{headers}:/mine', 'TORCH_CUDA_ARCH_LIST': '9.0'}
    assert env == ({'CPATH': '/mine'} if device == 'cpu' else cuda)


def test_lock_is_whole(dev):
    setup_env, places = dev('setup_env'), dev('places')
    for path in (places.LOCK, places.LOCK_MM):
        assert all('==' in line for line in setup_env.pins(path).values())
    assert {'pip', 'torch', 'torchvision', 'numpy', 'setuptools', 'ninja'} <= set(setup_env.pins(places.LOCK))
    assert set(setup_env.BUILT) <= set(setup_env.pins(places.LOCK_MM))


def test_failed_step_shows_the_error_and_the_log(dev, tmp_path):
    progress = dev('progress')
    log = tmp_path / 'logs' / 'step.log'
    noise = '; '.join(['echo x.cpp:1:1: error: bad thing', *[f'echo line {i}' for i in range(50)], 'exit 3'])
    with pytest.raises(progress.Failed) as error:
        progress.run('compiling', ['sh', '-c', noise], log, dict(os.environ))
    message = str(error.value)
    assert message.startswith('compiling failed after 0:0')
    assert 'error: bad thing' in message and 'line 49' in message and 'line 20' not in message
    assert message.endswith(str(log))
    assert len(log.read_text().splitlines()) == 51


def test_second_run_does_nothing(dev, tmp_path):
    setup_env, places = dev('setup_env'), dev('places')
    places.PYTHON.parent.mkdir(parents=True)
    places.PYTHON.symlink_to(sys.executable)
    for step, value in setup_env.wanted().items():
        setup_env.stamp(step, value)
    command = [sys.executable, str(tmp_path / 'tools' / 'dev' / 'setup_env.py')]
    result = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert (result.returncode, result.stdout, result.stderr) == (0, '', '')
    (tmp_path / 'requirements' / 'lock.txt').write_text('pip==1.0\n')  # of all steps, those that depend on it
    stamps = json.loads(places.STAMPS.read_text())
    changed = {step for step, value in setup_env.wanted().items() if stamps[step] != value}
    assert {'libraries', 'openmmlab'} <= changed
    assert 'environment' not in changed


@pytest.mark.parametrize('pause', [0, 0.5], ids=['starting', 'running'])
def test_interrupt_ends_what_was_started(dev, tmp_path, pause):
    code = ('import os, progress, setup_env, signal; from pathlib import Path\n'
            'signal.signal(signal.SIGTERM, setup_env.interrupt)\n'
            'progress.run("long", ["sh", "-c", "echo $$; exec sleep 60"], Path(os.environ["LOG"]), os.environ)')
    process = subprocess.Popen([sys.executable, '-c', code], cwd=tmp_path / 'tools' / 'dev', stderr=subprocess.DEVNULL,
                               env={**os.environ, 'LOG': str(tmp_path / 'log')})
    deadline = time.monotonic() + 20
    while not ((tmp_path / 'log').exists() and _children(process.pid)):
        assert time.monotonic() < deadline
    (child,) = _children(process.pid)
    time.sleep(pause)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f'/proc/{pid}/task/{pid}/children').read_text().split()]
