"""Files that are either whole or not there, whatever stops the writing."""
import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

#: What a file is called while it is being written.
PART = '.part'


def write_whole(content: bytes, path: str | os.PathLike) -> None:
    """Write beside ``path``, bring it to the disk, then rename: a reader sees the old file or the new one.

    Args:
        content: What to write.
        path: Where to; folders above it are made.

    Raises:
        OSError: Where it can't be written, a full disk for example; what was at ``path`` is still there then.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + PART)
    try:
        with open(part, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)  # it would keep a full disk full
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring the renaming to the disk, too; not every system can."""
    if not hasattr(os, 'O_DIRECTORY'):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@register_backend('mmuniformer.whole')
class WholeFileBackend(LocalBackend):
    """MMEngine's local files, written by :func:`write_whole`. A config asks for it by ``backend='mmuniformer.whole'``.

    Removals can be put off until something that may fail has succeeded: see :meth:`hold_removals`.
    """

    def __init__(self):
        self._held = None

    def put(self, obj: bytes, filepath: str | os.PathLike) -> None:
        write_whole(obj, filepath)

    def put_text(self, obj: str, filepath: str | os.PathLike, encoding: str = 'utf-8') -> None:
        write_whole(obj.encode(encoding), filepath)

    def remove(self, filepath: str | os.PathLike) -> None:
        if self._held is None:
            super().remove(filepath)
        else:
            self._held.append((filepath, os.stat(filepath).st_ino))

    def hold_removals(self) -> None:
        """Remember removals instead of doing them."""
        self._held = []

    def release_removals(self, do: bool) -> None:
        """Do the remembered removals, or forget them. A file written anew in the meantime is kept."""
        held, self._held = self._held or [], None
        for path, inode in held if do else ():
            if os.path.exists(path) and os.stat(path).st_ino == inode:
                super().remove(path)
