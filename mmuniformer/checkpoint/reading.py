"""From a source (path, URL, Hugging Face Hub) to what its file holds, executing nothing that is in it."""
import argparse
import os
import re
import zipfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote, urlparse

import torch

from .errors import CheckpointError
from .published import find_by_name

HUB_SCHEME = 'hf://'
#: How a zip archive, the format of torch.save since 1.6, begins.
ZIP_MAGIC = b'PK\x03\x04'


def read(source: str | os.PathLike) -> tuple[Any, Path]:
    """Read a checkpoint file.

    Args:
        source: Path of a file, ``http(s)://`` URL (kept in the cache of :func:`torch.hub.get_dir`) or
            ``hf://owner/repository/path/in/it.pth`` on the Hugging Face Hub (kept in that library's cache).

    Returns:
        What the file holds, tensors on the CPU, and where it lies.

    Raises:
        CheckpointError: When there is no such file, it can't be fetched, or it is no checkpoint of plain data.
    """
    text = os.fspath(source)
    if text.startswith(('http://', 'https://')):
        path = _download(text)
        try:
            return read_file(path), path
        except CheckpointError:
            path.unlink(missing_ok=True)  # or every later try would find the same bad file in the cache
            raise
    if text.startswith(HUB_SCHEME):
        path = _download_from_hub(text)
    elif '://' in text:
        raise CheckpointError(f'{text}: weights can be a file, an http(s):// URL or {HUB_SCHEME}owner/repository/file')
    else:
        path = Path(text).expanduser()
    return read_file(path), path


def read_file(path: Path) -> Any:
    """What a local checkpoint file holds; see :func:`read`."""
    _check_is_checkpoint(path)
    try:
        with _command_lines_allowed():
            return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # the restricted unpickler raises nearly anything on a file that is not its own
        raise CheckpointError(f'{path}: {_why_unreadable(error)}') from error


def _command_lines_allowed() -> AbstractContextManager:
    """Let the parsed command line through that DeiT and timm, hence the official image files, keep beside the weights.

    It is a bare holder of attributes. MMEngine's log histories and NumPy's numbers are let through by `compat`.
    """
    # Leaving safe_globals() forgets what it was given, even if somebody had allowed it before.
    new = {argparse.Namespace}.difference(torch.serialization.get_safe_globals())
    return torch.serialization.safe_globals(list(new))


def _check_is_checkpoint(path: Path) -> None:
    """Raise for the files that are most often mistaken for weights."""
    if path.is_dir():
        inside = sorted(file.name for file in path.glob('*.pth'))[:5]
        raise CheckpointError(f'{path} is a folder: name a file in it'
                              f'{", such as " + ", ".join(inside) if inside else ""}')
    if not path.is_file():
        row = find_by_name(path.name)
        where = f'; this published file is at {row.where}' if row and row.where else ''
        raise CheckpointError(f'{path}: no such file{where}')
    with path.open('rb') as file:
        head = file.read(4096)
    if not head:
        raise CheckpointError(f'{path} is empty: fetch it again')
    if head.startswith(b'version https://git-lfs'):
        raise CheckpointError(f'{path} is a Git LFS pointer, not the weights: run `git lfs pull` in its repository')
    if re.match(rb'\s*(<!doctype html|<html|<head|<\?xml)', head, re.IGNORECASE):
        drive = b'google' in head.lower() and b'drive' in head.lower()
        raise CheckpointError(f'{path} is a web page saved under the name of a checkpoint'
                              f'{" (the warning of Google Drive before large files)" if drive else ""}: '
                              'open its address in a browser and save the file itself')
    if head.startswith(ZIP_MAGIC):
        _check_archive(path)


def _check_archive(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rsplit('/', 1)[-1] for name in archive.namelist()}
    except zipfile.BadZipFile as error:
        raise CheckpointError(f'{path} is cut off: fetch it again') from error
    if 'constants.pkl' in names:
        raise CheckpointError(f'{path} is a TorchScript program, not weights: save the `state_dict()` of the model '
                              'it was made of')
    if 'data.pkl' not in names:
        raise CheckpointError(f'{path} is a zip archive but no checkpoint of PyTorch: unpack it')


def _why_unreadable(error: Exception) -> str:
    code = re.search(r'GLOBAL ([\w.]+)|reduce for unrecognized function (.+)', str(error))
    if code:
        return (f'holds more than weights: reading it would call `{code[1] or code[2]}`. Nothing was executed. If you '
                'made this file, save its `state_dict()` alone')
    # PyTorch's own words are of its unpickler, or advise to execute what the file holds.
    return 'can not be read as weights: it is cut off, damaged, or no checkpoint of PyTorch'


def _download(url: str) -> Path:
    name = unquote(Path(urlparse(url).path).name)
    if not name:
        raise CheckpointError(f'{url}: the URL names no file')
    folder = Path(torch.hub.get_dir(), 'checkpoints')
    path = folder / name
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    row = find_by_name(name)
    try:
        # Written beside its place and moved there when whole and of the right hash: processes may do this at once.
        torch.hub.download_url_to_file(url, str(path), hash_prefix=(row.sha256 if row else '') or None)
    except (URLError, OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f'{url}: could not be downloaded ({error})') from error
    return path


def _download_from_hub(source: str) -> Path:
    owner, _, rest = source[len(HUB_SCHEME):].partition('/')
    repository, _, name = rest.partition('/')
    if not (owner and repository and name):
        raise CheckpointError(f'{source}: expected {HUB_SCHEME}owner/repository/path/of/file.pth')
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise CheckpointError(f'{source}: needs huggingface_hub, run `pip install huggingface_hub`') from error
    try:
        return Path(hf_hub_download(f'{owner}/{repository}', name))
    except Exception as error:  # its errors come from three libraries and have no common base
        raise CheckpointError(f'{source}: could not be fetched from the Hugging Face Hub '
                              f'({type(error).__name__}: {str(error).strip().splitlines()[0]})') from error
