"""Configs by name: those that come with the package."""
import difflib
from functools import cache
from pathlib import Path

from mmengine.config import Config

import mmuniformer
from mmuniformer.engine.launch import read_config

from .errors import PredictError


@cache
def zoo() -> dict[str, Path]:
    """Every packaged config by its file name without ``.py``: of the installed package, or of the checkout."""
    package = Path(mmuniformer.__file__).resolve().parent
    for folder in (package / '.mim' / 'configs', package.parent / 'configs'):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.rglob('*.py')) if '_base_' not in path.parts}
    return {}


def load_config(name: str) -> Config:
    """Read a config by its path, by its name in the zoo, or as ``mmuniformer::recognition/uniformer/NAME.py``.

    Args:
        name: A path, or the file name of a packaged config with or without ``.py``.

    Raises:
        PredictError: There is no such config; names the likeliest ones, or it can't be read.
    """
    stem = name.removesuffix('.py')
    if Path(name).is_file():
        path = name
    elif stem in zoo():
        path = str(zoo()[stem])
    elif '::' in name:
        path = name
    else:
        near = difflib.get_close_matches(Path(stem).name, zoo(), n=3, cutoff=0.5)
        hint = f': did you mean {" or ".join(near)}?' if near else f' of the {len(zoo())} in the zoo'
        raise PredictError(f'{name} is neither a config file nor the name of a config{hint}')
    try:
        return read_config(path)
    except SystemExit as error:
        raise PredictError(str(error)) from error
