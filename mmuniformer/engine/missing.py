"""What to install where a module of a framework or an extra is missing."""
import re
from collections.abc import Iterator
from contextlib import contextmanager

_EXPORT = 'onnx onnxruntime onnxscript'
_POSE = 'json-tricks matplotlib munkres pillow scipy torchvision xtcocotools'
#: What pip takes, as in requirements/, for a name in an error: of a module, or (MMEngine's errors) of a package.
INSTALL = {
    **dict.fromkeys(['mmaction', 'mmaction2'], 'decord "mmaction2>=1.2.0" "opencv-contrib-python<5"'),
    'decord': 'decord',
    'mmdet': '"mmdet>=3.3.0"',
    **dict.fromkeys(['mmseg', 'mmsegmentation'], 'ftfy "mmsegmentation>=1.2.2" regex'),
    'ftfy': 'ftfy',
    'regex': 'regex',
    'mmpose': '--no-deps "mmpose>=1.3.2"',
    **dict.fromkeys(['json_tricks', 'munkres', 'xtcocotools'], _POSE),
    'mmpretrain': '"mmpretrain>=1.2.0"',
    **dict.fromkeys(['onnx', 'onnxruntime', 'onnxscript'], _EXPORT),
}


def advice(error: BaseException) -> str | None:
    """``NAME: pip install ...`` where an error is that a known module is missing, else None."""
    if not isinstance(error, ModuleNotFoundError):
        return None
    # MMEngine's own, of a base config in a package, has no name.
    says = re.match(r'(\w+) is not installed', str(error))
    name = (error.name or (says[1] if says else '')).partition('.')[0]
    return f'{name}: pip install {INSTALL[name]}' if name in INSTALL else None


@contextmanager
def missing_in_one_line(what: str = 'This') -> Iterator[None]:
    """Leave with one line where a known module is missing; all other errors pass."""
    try:
        yield
    except ModuleNotFoundError as error:
        if not advice(error):
            raise
        raise SystemExit(f'{what} needs {advice(error)}') from error
