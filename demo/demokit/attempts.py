"""Whether a demo starts anew or goes on where it was interrupted, and how long it has taken altogether."""
import hashlib
import json
import shutil
import time
from pathlib import Path

from mmengine.config import Config

STATE = 'demo.json'


class Attempts:
    """The attempts at one demo in one folder.

    An attempt goes on from the last checkpoint of the one before if there is one, the config is the same and no report
    was left; otherwise the folder is emptied and it starts anew.

    Args:
        folder (Path): Where the demo leaves everything; made if absent.
        cfg (Config): All that the demo does.
        report (Path): The file that a finished demo has written.

    Raises:
        FileExistsError: ``folder`` holds files that no demo wrote; they are left alone.
    """

    def __init__(self, folder: Path, cfg: Config, report: Path):
        self.started = time.time()
        config = hashlib.sha256(cfg.pretty_text.encode()).hexdigest()
        file = folder / STATE
        self.spent = 0.
        if file.exists():
            state = json.loads(file.read_text())
            last = folder / 'last_checkpoint'
            if state['config'] == config and not report.exists() and _names_a_file(last):
                self.spent = state['spent'] + max(last.stat().st_mtime - state['started'], 0)
            else:
                shutil.rmtree(folder)
        elif folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f'{folder} holds files that no demo wrote (no {STATE} in it): give another folder')
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix('.part')
        part.write_text(json.dumps(dict(config=config, spent=self.spent, started=self.started)))
        part.replace(file)

    def seconds(self) -> float:
        """Time of this attempt, and of those before it up to their last checkpoint."""
        return self.spent + time.time() - self.started


def _names_a_file(last: Path) -> bool:
    """Whether MMEngine's pointer to the last checkpoint is whole: a run may have died while writing it."""
    if not last.exists():
        return False
    name = last.read_text().strip()
    return bool(name) and (last.parent / Path(name).name).is_file()
