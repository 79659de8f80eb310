"""Mends for known breaks of the dependencies: one function each, with its upstream reference and its version guard.

``apply`` runs when ``mmuniformer`` is imported. Nothing here imports a framework (MMAction2, MMDetection, ...); what
concerns one of them is mended when somebody else imports it.

Known and left alone: MMDetection 3.3.0, MMSegmentation 1.2.2 and MMAction2 1.2.0 refuse MMCV 2.2 and newer. Their own
message says so, and no mend is honest, since they were never released against it: install ``mmcv==2.1.0`` for them.
"""
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from importlib import metadata
from pickle import UnpicklingError
from types import ModuleType

# The highest of what MMAction2 1.2, MMDetection 3.3, MMSegmentation 1.2, MMPose 1.3 and MMPretrain 1.2 ask for.
# Of torch: the first that tells exporting from compiling.
MIN_VERSIONS = {'torch': '2.7', 'mmengine': '0.8.3', 'mmcv': '2.0.0'}
_HOW_TO_INSTALL = {
    'torch': '`pip install torch` (MMCV has to be built anew after it)',
    'mmengine': '`pip install mmengine` (or its maintained fork, `pip install onedl-mmengine`)',
    'mmcv': '`MMCV_WITH_OPS=1 pip install --no-build-isolation mmcv==2.1.0` after torch and "setuptools<81" '
            '(or, if none of your frameworks refuses MMCV 2.2, its maintained fork, `pip install onedl-mmcv`)',
}

_DRN = 'mmaction.models.localizers.drn'


def apply() -> None:
    """Check that PyTorch, MMEngine and MMCV are there and new enough, then mend what is broken.

    May be called again and again.

    Raises:
        ImportError: if one of them is missing, too old or cannot be imported; the message says what to install.
    """
    for name in MIN_VERSIONS:
        _require(name)
    _know_our_configs()
    _find_packages_without_pkg_resources()
    _allow_checkpoint_contents()
    _supply_missing_drn()
    _mend_hue()
    _after_import('mmengine._strategy.fsdp', _mend_fsdp)
    _after_import('mmaction.datasets.transforms.processing', _mend_color_jitter)
    _after_import('mmaction.models.heads.base', _mend_bfloat16_scores)
    _after_import('mmpose.visualization.opencv_backend_visualizer', _mend_circles)


def _require(name: str) -> None:
    minimum, how = MIN_VERSIONS[name], _HOW_TO_INSTALL[name]
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name:
            raise ImportError(f'mmuniformer needs {name} >= {minimum}, which is not installed. Install it with {how}.',
                              name=name) from error
        raise ImportError(f'{name} is installed, but importing it fails because the module {error.name!r} is missing. '
                          + _hint(error.name), name=name) from error
    version = getattr(module, '__version__', None)
    if version is None:
        raise ImportError(f'The module {name} found at {list(getattr(module, "__path__", []))} is not OpenMMLab\'s '
                          f'(it has no version). Install it with {how}.', name=name)
    if _release(version) < _release(minimum):
        raise ImportError(f'mmuniformer needs {name} >= {minimum}, found {version}. Install it with {how}.', name=name)


def _hint(missing: str) -> str:
    if missing == 'pkg_resources':  # removed from setuptools (pypa/setuptools#5007)
        return 'setuptools no longer holds it: `pip install "setuptools<81"`.'
    return f'Install what provides {missing!r}.'


def _release(version: str) -> tuple[int, ...]:
    """The numbers a version starts with: '2.1.0rc4' -> (2, 1, 0)."""
    numbers = []
    for part in version.split('.'):
        digits = ''
        for character in part:
            if not character.isdigit():
                break
            digits += character
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


# ---- MMEngine: configs of a package it does not know ----------------------------------------------------------------


def _know_our_configs() -> None:
    """Let ``_base_ = 'mmuniformer::...'`` work: MMEngine keeps a closed table of the packages it loads configs of.

    It also looks up all types of such a base in the package's own registry. Ours holds backbones, whose configs
    name types of the frameworks: they are looked up where ``default_scope`` says, as in a base given by its path.
    """
    from mmengine.config import Config
    from mmengine.config.utils import MODULE2PACKAGE
    MODULE2PACKAGE.setdefault('mmuniformer', 'mmuniformer')
    if getattr(Config._get_cfg_path, 'by', None) == 'mmuniformer':
        return
    get_cfg_path = Config._get_cfg_path

    @functools.wraps(get_cfg_path)
    def without_our_scope(cfg_path: str, filename: str) -> tuple[str, str | None]:
        path, scope = get_cfg_path(cfg_path, filename)
        return path, None if scope == 'mmuniformer' else scope

    without_our_scope.by = 'mmuniformer'
    Config._get_cfg_path = staticmethod(without_our_scope)


# ---- MMEngine <= 0.10.7: pkg_resources -----------------------------------------------------------------------------


def _find_packages_without_pkg_resources() -> None:
    """Find installed packages through ``importlib``.

    MMEngine up to 0.10.7 asks ``pkg_resources``, which newer setuptools have dropped (pypa/setuptools#5007), and takes
    the folder of a package's metadata for the folder of its code, which is wrong for every editable install of today's
    pip (PEP 660): ``_base_ = 'mmuniformer::...'`` fails in both cases.
    """
    import mmengine
    if _release(mmengine.__version__) > (0, 10, 7):
        return
    for name in ('mmengine.utils.package_utils', 'mmengine.utils', 'mmengine.config.config', 'mmengine.hub.hub'):
        module = sys.modules.get(name)
        if module is not None:  # what is imported later takes it from mmengine.utils
            for function in (is_installed, get_installed_path):
                if hasattr(module, function.__name__):
                    setattr(module, function.__name__, function)


def is_installed(package: str) -> bool:
    """Whether ``package``, the name of a distribution or of a module, is installed."""
    try:
        metadata.distribution(package)
        return True
    except metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None


def get_installed_path(package: str) -> str:
    """Folder of the code of ``package``, the name of a distribution or of a module.

    Raises:
        PackageNotFoundError: if there is no such package.
        RuntimeError: if it is a namespace package, which has no folder of its own.
    """
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None:  # the module may have another name, as that of mmaction2 has
        top_level = (metadata.distribution(package).read_text('top_level.txt') or '').split()
        spec = importlib.util.find_spec(top_level[0]) if top_level else None
    if spec is None:
        raise metadata.PackageNotFoundError(package)
    if spec.origin is None:
        raise RuntimeError(f'{package} is a namespace package, which is invalid for `get_installed_path`')
    return os.path.dirname(spec.origin)


# ---- torch >= 2.6: MMEngine's checkpoints and the safe loading ------------------------------------------------------


def _allow_checkpoint_contents() -> None:
    """Let the safe ``torch.load``, the default since torch 2.6, read MMEngine's own checkpoints.

    See open-mmlab/mmengine#1655. Only plain data is allowed: log histories, and numbers and arrays of numpy.
    """
    import numpy as np
    import torch
    from mmengine.logging import HistoryBuffer
    multiarray = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
    allowed = [HistoryBuffer, np.ndarray, np.dtype, bytes, (_history_method, 'builtins.getattr')]
    for function in ('_reconstruct', 'scalar'):  # numpy 1 and numpy 2 write these under different names
        for module in ('numpy._core.multiarray', 'numpy.core.multiarray'):
            allowed.append((getattr(multiarray, function), f'{module}.{function}'))
    allowed += {type(np.dtype(code)) for code in (*np.typecodes['AllInteger'], *np.typecodes['AllFloat'], '?', 'U')}
    torch.serialization.add_safe_globals(allowed)


def _history_method(owner: object, name: str) -> object:
    """Stands for ``getattr`` in a checkpoint, which needs it for the statistics of a log history and nothing else."""
    from mmengine.logging import HistoryBuffer
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(owner, name)
    raise UnpicklingError(f'The file asks for the attribute {name!r} of {owner!r}, as no checkpoint of MMEngine does. '
                          'It may have been made to run code, and was not loaded.')


# ---- MMEngine <= 0.10.7: FSDPStrategy --------------------------------------------------------------------------------


def _mend_fsdp(module: ModuleType) -> None:
    """Let MMEngine's ``FSDPStrategy`` train as one process would, and resume.

    Three things are wrong up to 0.10.7. It groups the parameters for the optimiser after sharding, when each is a flat
    piece of itself under another name: with ``flat_decay_mult`` nothing decays, and ``custom_keys`` that name blocks
    match nothing. It clips by the norm of each process' own piece of the gradient. It passes the arguments of
    ``optim_state_dict_to_load`` in the order that PyTorch gave up with 2.1 (pytorch/pytorch#123952), so no run resumes.
    """
    import mmengine
    strategy, FSDP = module.FSDPStrategy, module.FSDP
    build = strategy.build_optim_wrapper
    if _release(mmengine.__version__) > (0, 10, 7) or hasattr(build, '__wrapped__'):
        return

    @functools.wraps(build)
    def build_optim_wrapper(self, optim_wrapper, model=None):
        if not isinstance(optim_wrapper, dict):  # built before sharding
            return build(self, optim_wrapper, model)
        from mmuniformer.engine.sharding import unsharded
        with unsharded(model):
            wrapper = build(self, optim_wrapper, model)
        if getattr(wrapper, 'clip_grad_kwargs', None) and wrapper.grad_name == 'grad_norm':
            wrapper.clip_func = lambda parameters, **kwargs: model.clip_grad_norm_(**kwargs)
        return wrapper

    class NamedArguments(FSDP):

        @staticmethod
        def optim_state_dict_to_load(state: dict, model, optimizer) -> dict:
            found = FSDP.optim_state_dict_to_load(optim_state_dict=state, model=model, optim=optimizer)
            # The scaler's and MMEngine's own part are no business of PyTorch's.
            return {**{key: value for key, value in state.items() if key not in ('state', 'param_groups')}, **found}

    strategy.build_optim_wrapper = build_optim_wrapper
    module.FSDP = NamedArguments


# ---- MMAction2 1.2.0: a folder missing from its wheel ----------------------------------------------------------------


class _DRNFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Supplies ``mmaction.models.localizers.drn`` where no other finder has it."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in (_DRN, f'{_DRN}.drn') or not _lacks_drn(sys.modules.get('mmaction')):
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=fullname == _DRN)

    def exec_module(self, module):
        if module.__name__ == f'{_DRN}.drn':
            module.DRN = _make_drn()


def _lacks_drn(mmaction) -> bool:
    return _release(getattr(mmaction, '__version__', '')) == (1, 2, 0)


def _make_drn() -> type:
    from mmaction.registry import MODELS
    from torch import nn

    @MODELS.register_module()
    class DRN(nn.Module):
        """What MMAction2 1.2.0 on the package registry has instead of its DRN: an error that says how to get it."""

        def __init__(self, *args, **kwargs):
            raise NotImplementedError(
                'DRN is missing from the mmaction2 1.2.0 of the package registry (open-mmlab/mmaction2#2714). To use '
                'it, install MMAction2 from source: `pip install git+https://github.com/open-mmlab/mmaction2.git@v1.2.0`.')

    return DRN


def _supply_missing_drn() -> None:
    """Make ``import mmaction.models`` work with the wheel of MMAction2 1.2.0 (open-mmlab/mmaction2#2714).

    The finder stands last, so a folder that is there always wins, and it costs nothing until MMAction2 is imported.
    """
    if not any(isinstance(finder, _DRNFinder) for finder in sys.meta_path):
        sys.meta_path.append(_DRNFinder())


# ---- MMAction2 <= 1.2.0: bfloat16 ------------------------------------------------------------------------------------


def _mend_bfloat16_scores(module: ModuleType) -> None:
    """Let MMAction2's heads train and test in bfloat16: they hand the scores to numpy, which has no such type."""
    import mmaction
    import torch
    if _release(mmaction.__version__) > (1, 2, 0):
        return

    def in_float(original: Callable) -> Callable:

        @functools.wraps(original)
        def by_feat(self, cls_scores, *args, **kwargs):
            is_half = isinstance(cls_scores, torch.Tensor) and cls_scores.dtype == torch.bfloat16
            return original(self, cls_scores.float() if is_half else cls_scores, *args, **kwargs)

        return by_feat

    for name in ('loss_by_feat', 'predict_by_feat'):
        original = getattr(module.BaseHead, name)
        if not hasattr(original, '__wrapped__'):
            setattr(module.BaseHead, name, in_float(original))


# ---- numpy >= 2: numbers that no longer fit --------------------------------------------------------------------------


class _CyclicHue(float):
    """A shift of the hue whose product with 255 fits in the byte that MMCV puts it in: -11 becomes 245."""

    def __mul__(self, other):
        return int(float(self) * other) % 256


def _mend_hue() -> None:
    """Let ``mmcv.adjust_hue`` shift downwards: numpy 2 does not wrap -11 into a byte (VBTI-development/onedl-mmcv#41).

    MMPretrain's ``ColorJitter`` and all that use it fail on about every other image otherwise.
    """
    import mmcv
    import numpy as np
    original = mmcv.adjust_hue
    if _release(np.__version__) < (2,) or _release(mmcv.__version__) >= (2, 3) or hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def adjust_hue(img, hue_factor, backend=None):
        return original(img, _CyclicHue(hue_factor), backend)

    for module in (mmcv, mmcv.image, mmcv.image.photometric):
        module.adjust_hue = adjust_hue


def _mend_color_jitter(processing: ModuleType) -> None:
    """The same in MMAction2's own ``ColorJitter``, up to 1.2.0, where the hue turns after 180."""
    import mmaction
    import numpy as np
    if _release(np.__version__) < (2,) or _release(mmaction.__version__) > (1, 2, 0):
        return

    def adjust_hue(img, factor):
        import cv2
        hsv = cv2.cvtColor(img.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(factor * 255)) % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)

    processing.ColorJitter.adjust_hue = staticmethod(adjust_hue)


def _mend_circles(visualizer: ModuleType) -> None:
    """Let MMPose, up to 1.3.2, draw keypoints: its radius is an array of one number, no number to numpy 2.4."""
    import mmpose
    cls = visualizer.OpencvBackendVisualizer
    original = cls.draw_circles
    if _release(mmpose.__version__) > (1, 3, 2):
        return

    @functools.wraps(original)
    def draw_circles(self, center, radius, *args, **kwargs):
        if self.backend == 'opencv' and getattr(radius, 'size', None) == 1:
            radius = radius.item()
        return original(self, center, radius, *args, **kwargs)

    cls.draw_circles = draw_circles


# ---- mending what is not imported yet --------------------------------------------------------------------------------


class _AfterImport(importlib.abc.MetaPathFinder):
    """Mends one module right after it has been imported."""

    def __init__(self, name: str, mend: Callable[[ModuleType], None]):
        self.name, self.mend = name, mend

    def find_spec(self, fullname, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if fullname == self.name else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            self.mend(module)

        spec.loader.exec_module = exec_module
        return spec


def _after_import(name: str, mend: Callable[[ModuleType], None]) -> None:
    if any(isinstance(finder, _AfterImport) and finder.name == name for finder in sys.meta_path):
        return
    if name in sys.modules:
        mend(sys.modules[name])
    sys.meta_path.insert(0, _AfterImport(name, mend))
