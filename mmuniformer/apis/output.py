"""The files of one input: the drawn picture or video, the JSON, and what goes with them."""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from .errors import PredictError
from .timeline import draw_timeline, write_csv

#: Container of the drawn videos and their codec: MPEG-4 opens in every player, VP8 in every browser.
CODECS = {'mp4': 'mp4v', 'webm': 'VP80'}


class Output:
    """Writes ``NAME.json`` and what else there is into a folder, and notes in the JSON which files there are.

    Args:
        folder: The folder, made if absent; None writes nothing.
        name: First part of the files' names.
        video: Container of drawn videos: ``'mp4'`` or ``'webm'``. Defaults to ``'mp4'``.
    """

    def __init__(self, folder: Path | None, name: str, video: str = 'mp4'):
        self.folder, self.name, self.container = folder, name, video
        self.files: dict[str, str] = {}
        self._writer: cv2.VideoWriter | None = None
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PredictError(f'{folder} can not be made to write into ({error.strerror}): give another --out'
                                   ) from error

    def __bool__(self) -> bool:
        return self.folder is not None

    def path(self, what: str, ending: str) -> Path:
        """Where a file goes; ``what`` is its key among ``files``."""
        path = self.folder / f'{self.name}{ending}'
        self.files[what] = path.name
        return path

    def image(self, image: np.ndarray) -> None:
        """Write the drawn picture, BGR."""
        if self:
            self._write(self.path('drawn', '.jpg'), image, [cv2.IMWRITE_JPEG_QUALITY, 95])

    def mask(self, mask: np.ndarray) -> None:
        """Write a class for each pixel as a grey PNG, of 16 bits where 8 are too few."""
        if self:
            self._write(self.path('mask', '_mask.png'), mask.astype(np.uint8 if mask.max() < 256 else np.uint16))

    def frame(self, frame: np.ndarray, fps: float) -> None:
        """Add a drawn frame, BGR, to the video; all are of the size of the first."""
        if not self:
            return
        height, width = (side + side % 2 for side in frame.shape[:2])  # encoders want even sides
        frame = cv2.copyMakeBorder(frame, 0, height - frame.shape[0], 0, width - frame.shape[1], cv2.BORDER_REPLICATE)
        if self._writer is None:
            path = self.path('drawn', f'.{self.container}')
            fourcc = cv2.VideoWriter_fourcc(*CODECS[self.container])
            self._writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
            if not self._writer.isOpened():
                raise PredictError(f'{path} can not be written as {CODECS[self.container]} video: give a folder that '
                                   'you may write to, or another container')
            self._size = (width, height)
        if (width, height) != self._size:
            frame = cv2.resize(frame, self._size)
        self._writer.write(frame)

    def timeline(self, records: Sequence[Mapping[str, Any]], title: str) -> None:
        """Write what was seen over time as CSV and PNG."""
        if self:
            write_csv(records, self.path('csv', '_timeline.csv'))
            draw_timeline(records, self.path('timeline', '_timeline.png'), title)

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Close the video, add ``files`` to a result, write it as JSON, and return it."""
        if self._writer is not None:
            self._writer.release()
        if self:
            path = self.path('json', '.json')
            result['files'] = self.files
            path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')
        return result

    def _write(self, path: Path, image: np.ndarray, options: Sequence[int] = ()) -> None:
        if not cv2.imwrite(str(path), image, list(options)):
            raise PredictError(f'{path} can not be written: give a folder that you may write to')
