"""Packaging: metadata, extras from ``requirements/``, and configs and tools shipped as ``mmuniformer/.mim``."""
import os
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = ('configs', 'demo', 'tools', 'model-index.yml')
IGNORED = shutil.ignore_patterns('__pycache__', '*.py[cod]', 'dev')


def version() -> str:
    scope = {}
    exec((ROOT / 'mmuniformer' / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    return [line for line in (line.split('#')[0].strip() for line in lines) if line]


class BuildWithMim(build_py):
    """Adds ``mmuniformer/.mim``, where MMEngine and MIM look for configs and tools: copied, or for ``-e`` linked."""

    def run(self):
        super().run()
        package = ROOT / 'mmuniformer' if self.editable_mode else Path(self.build_lib) / 'mmuniformer'
        mim = package / '.mim'
        if mim.exists():
            shutil.rmtree(mim)
        mim.mkdir()
        for name in MIM:
            source = ROOT / name
            if not source.exists():
                continue
            if self.editable_mode:
                (mim / name).symlink_to(os.path.relpath(source, mim))
            elif source.is_dir():
                shutil.copytree(source, mim / name, ignore=IGNORED)
            else:
                shutil.copy2(source, mim / name)


EXTRAS = {name: requirements(name) for name in ('video', 'detection', 'segmentation', 'pose', 'classification')}

setup(
    name='mmuniformer',
    version=version(),
    description='UniFormer, the convolution and self-attention backbone for images and videos, for OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else '',
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='computer vision, video understanding, backbone, transformer, UniFormer, OpenMMLab',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=['mmuniformer', 'mmuniformer.*']),
    python_requires='>=3.10',
    # MMEngine and MMCV are not named here: each is on the registry under two names with one import name, and asking for
    # one would overwrite the other. mmuniformer.compat checks for them and says what to install.
    install_requires=requirements('runtime'),
    extras_require={
        **EXTRAS,
        'all': sorted({line for lines in EXTRAS.values() for line in lines}),
        'app': requirements('app'),
        'export': requirements('export'),
        'mim': requirements('mminstall'),
        'tests': requirements('tests'),
    },
    cmdclass={'build_py': BuildWithMim},
    zip_safe=False,
)
