"""A folder of generated files that is either finished or known not to be."""
import json
import shutil
from pathlib import Path

MARKER = 'generated.json'


def open_store(root: Path, recipe: dict) -> bool:
    """Make ``root`` ready to hold the files of ``recipe``.

    A folder begun with the same recipe is kept as it is, so an interrupted generation goes on where it stopped. One
    of another recipe is emptied first.

    Args:
        root (Path): The folder; made if absent.
        recipe (dict): All that decides the files' contents, JSON-serialisable.

    Returns:
        bool: True when the folder already holds the finished data set.

    Raises:
        FileExistsError: ``root`` holds files that no generator wrote; they are left alone.
    """
    marker = root / MARKER
    if not marker.exists():
        if root.exists() and any(root.iterdir()):
            raise FileExistsError(f'{root} holds files that were not generated (no {MARKER} in it): '
                                  'give another folder, or empty this one')
    else:
        try:
            state = json.loads(marker.read_text())
        except json.JSONDecodeError:
            state = {}
        if state.get('recipe') == recipe:
            return bool(state['finished'])
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    _write(marker, recipe, finished=False)
    return False


def close_store(root: Path, recipe: dict) -> None:
    """Mark the data set in ``root`` as finished; to be called after its last file is written."""
    _write(root / MARKER, recipe, finished=True)


def _write(marker: Path, recipe: dict, finished: bool) -> None:
    part = marker.with_suffix('.part')
    part.write_text(json.dumps(dict(recipe=recipe, finished=finished), indent=1) + '\n')
    part.replace(marker)  # atomic: a marker is never half written
