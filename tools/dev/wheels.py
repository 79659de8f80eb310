"""Build from source, once for every Python, torch and device, what the registry has no usable wheel of."""
from __future__ import annotations

import glob
import json
import os
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

from machine import check_compiler, find_nvcc
from places import CACHE, LOGS, PYTHON, VENV, environment
from progress import run

_DESCRIBE = """
import json, sys, numpy, torch
arch = '%d.%d' % torch.cuda.get_device_capability() if torch.cuda.is_available() else None
print(json.dumps(['cp%d%d' % sys.version_info[:2], torch.__version__.split('+')[0], numpy.__version__.split('.')[0],
                  torch.version.cuda, arch]))
"""


def built_wheel(name: str, version: str) -> Path:
    """The wheel of ``name``, ``'mmcv'`` or ``'xtcocotools'``: from the cache, or built into it.

    Raises:
        Failed: if there is no compiler or the build fails.
    """
    env = environment()
    env['PATH'] = f'{PYTHON.parent}{os.pathsep}{env["PATH"]}'  # so that torch finds ninja
    env.setdefault('MAX_JOBS', str(_jobs()))
    described = subprocess.run([str(PYTHON), '-c', _DESCRIBE], stdout=subprocess.PIPE, env=env, check=True).stdout
    abi, torch, numpy, cuda, arch = json.loads(described)
    if name == 'mmcv':
        device = _use_cuda(env, cuda, arch) if arch else 'cpu'
        env.update(MMCV_WITH_OPS='1', FORCE_CUDA='0' if device == 'cpu' else '1')
        if device == 'cpu':
            env['CUDA_VISIBLE_DEVICES'] = ''  # MMCV builds CUDA operators for any GPU it sees
        key = f'mmcv{version}-torch{torch}-{abi}-{device}'
    else:
        key = f'{name}{version}-numpy{numpy}-{abi}'

    folder = CACHE / 'wheels' / key
    for wheel in folder.glob(f'{name}-{version}-*.whl'):
        if zipfile.is_zipfile(wheel):
            print(f'  {name}: using {wheel}', flush=True)
            return wheel
        wheel.unlink()
    check_compiler()
    work = CACHE / 'build' / key
    source = _unpacked_source(name, version, work, env)
    if name == 'mmcv':
        print('  mmcv: compiling its operators, about 10 minutes on two cores; interrupted, it goes on from there',
              flush=True)
    run(f'{name} built from source', [str(PYTHON), '-m', 'pip', 'wheel', '-v', '--no-deps', '--no-build-isolation',
                                      '--wheel-dir', str(work / 'wheel'), str(source)],
        LOGS / f'{name}.log', env, _ninja_status)
    wheel = next((work / 'wheel').glob('*.whl'))
    folder.mkdir(parents=True, exist_ok=True)
    wheel = wheel.replace(folder / wheel.name)
    shutil.rmtree(work)
    return wheel


def _use_cuda(env: dict[str, str], cuda: str, arch: str) -> str:
    """Prepare ``env`` for CUDA operators; returns the device part of the cache key, 'cpu' if they can't be built."""
    major = cuda.split('.')[0]
    nvcc = find_nvcc()
    release = nvcc and re.search(r'release (\d+)\.', subprocess.run([nvcc, '--version'], stdout=subprocess.PIPE,
                                                                    text=True).stdout)
    if not release or release[1] != major:
        print(f'  mmcv: a GPU, but no nvcc of CUDA {major}: its operators are built for the CPU only', flush=True)
        return 'cpu'
    env.setdefault('TORCH_CUDA_ARCH_LIST', arch)
    # the toolkit's own headers may be incomplete; torch's wheels bring theirs
    headers = glob.glob(str(VENV / 'lib' / 'python*' / 'site-packages' / 'nvidia' / 'cu*' / 'include'))
    env['CPATH'] = os.pathsep.join([*headers, *filter(None, [env.get('CPATH')])])
    return f'cu{cuda.replace(".", "")}-sm{env["TORCH_CUDA_ARCH_LIST"].replace(".", "").replace(";", "_")}'


def _unpacked_source(name: str, version: str, work: Path, env: dict[str, str]) -> Path:
    """The source of a package in ``work``. It stays until the wheel is done, so that what was compiled serves again."""
    source = work / f'{name}-{version}'
    if not source.exists():
        shutil.rmtree(work, ignore_errors=True)
        run(f'{name} source', [str(PYTHON), '-m', 'pip', 'download', '--no-deps', '--no-build-isolation', '--no-binary',
                               name, '--dest', str(work), f'{name}=={version}'], LOGS / f'{name}-source.log', env)
        with tarfile.open(next(work.glob('*.tar.gz'))) as archive:
            archive.extractall(work / 'unpacking')
        next((work / 'unpacking').iterdir()).rename(source)
    return source


def _ninja_status(line: str) -> str | None:
    count = re.match(r'\s*\[(\d+/\d+)\]', line)
    return f'[{count[1]}] compiled' if count else None


def _jobs() -> int:
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    return max(1, min(os.cpu_count() or 1, memory // 2**31))
