"""Images, videos, folders of frames and cameras, read frame by frame."""
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import mmcv
import numpy as np

from mmuniformer.engine.missing import advice

from .errors import PredictError

#: Frames a second where a file or camera doesn't say.
DEFAULT_FPS = 25.


def read_image(path: Path) -> np.ndarray:
    """Read an image as ``(H, W, 3)``, uint8, BGR, turned as its EXIF data say.

    Raises:
        PredictError: The file can't be decoded.
    """
    try:
        image = mmcv.imread(str(path))
    except Exception:  # OpenCV's errors speak of its own source files
        image = None
    if image is None:
        raise PredictError(f'{path} can not be decoded as an image: give a JPEG, PNG, WebP, BMP or TIFF file that is '
                           'whole')
    return image


def kind(path: Path) -> str | None:
    """``'image'`` or ``'video'`` by what a file holds, whatever its name; None if it is neither or can't be decoded."""
    if path.stat().st_size == 0:
        return None
    if path.suffix.lower() != '.gif' and cv2.haveImageReader(str(path)):
        try:
            read_image(path)
        except PredictError:
            return None
        return 'image'
    try:
        Stream(path).close()
    except PredictError:
        return None
    return 'video'


class Stream:
    """The frames of a video or camera in their order; only the current one is held.

    Args:
        source: A video file, or the number of a camera.

    Attributes:
        fps (float): Frames a second.
        frames (int): How many the file says it has; 0 where it doesn't say, and of a camera.

    Raises:
        PredictError: It can't be opened, or not even its first frame can be decoded.
    """

    def __init__(self, source: Path | int):
        self.capture = _open(source)
        opened, self._first = self.capture.read() if self.capture.isOpened() else (False, None)
        if not opened:
            self.close()
            if isinstance(source, int):
                raise PredictError(f'Camera {source} can not be opened: give the number of one that is there (0 is the '
                                   'first), that you may read and that no other program uses')
            raise PredictError(f'{source} can not be decoded: give an image or a video that OpenCV can read and that '
                               'is whole')
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else DEFAULT_FPS
        self.frames = 0 if isinstance(source, int) else max(int(self.capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield frames ``(H, W, 3)``, uint8, BGR; once, since a camera can't be wound back."""
        frame, self._first = self._first, None
        while frame is not None:
            yield frame
            read, frame = self.capture.read()
            frame = frame if read else None

    def close(self) -> None:
        self.capture.release()

    def __enter__(self) -> 'Stream':
        return self

    def __exit__(self, *_) -> None:
        self.close()


def _open(source: Path | int) -> cv2.VideoCapture:
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # the error raised says it in words
    try:
        return cv2.VideoCapture(source if isinstance(source, int) else str(source))
    finally:
        cv2.utils.logging.setLogLevel(level)


class Clip(Protocol):
    """Frames by their number, decoded when they are asked for.

    Attributes:
        fps (float): Frames a second.
    """
    fps: float

    def __len__(self) -> int:
        ...

    def __getitem__(self, index: int) -> np.ndarray:
        """Frame ``(H, W, 3)``, uint8, RGB."""


class VideoClip:
    """A video file through decord, as MMAction2 reads it.

    Raises:
        PredictError: The file can't be decoded; also when a frame is asked for that can't be.
    """

    def __init__(self, path: Path):
        try:
            import decord
        except ModuleNotFoundError as error:
            raise PredictError(f'Videos need {advice(error) or error}') from error
        self.path = path
        try:
            self.reader = decord.VideoReader(str(path), num_threads=1)
        except Exception as error:
            raise PredictError(f'{path} can not be decoded: give a video that decord can read and that is whole'
                               ) from error
        fps = self.reader.get_avg_fps()
        self.fps = fps if math.isfinite(fps) and 0 < fps <= 1000 else DEFAULT_FPS

    def __len__(self) -> int:
        return len(self.reader)

    def __getitem__(self, index: int) -> np.ndarray:
        try:
            return self.reader[int(index)].asnumpy()
        except Exception as error:
            raise PredictError(f'{self.path} can not be decoded at frame {index} of {len(self)}: it is damaged or '
                               'shorter than it says, re-encode it') from error


class FramesClip:
    """Image files as the frames of one clip.

    Args:
        paths: The files, in their order.
        fps: Frames a second.
    """

    def __init__(self, paths: Sequence[Path], fps: float):
        self.paths, self.fps = paths, fps

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        return cv2.cvtColor(read_image(self.paths[index]), cv2.COLOR_BGR2RGB)


class ListClip(list):
    """Frames that are in memory already."""

    def __init__(self, frames: Sequence[np.ndarray], fps: float):
        super().__init__(frames)
        self.fps = fps


class Part:
    """Some consecutive frames of a clip, in the shape in which MMAction2's ``ArrayDecode`` takes a video.

    It has the ``shape`` of an array ``(T, H, W, 3)`` and frames by number, but holds none: what the pipeline samples is
    all that is ever decoded.

    Args:
        clip: All the frames.
        first: Number of the first frame.
        length: How many frames.
    """

    def __init__(self, clip: Clip, first: int, length: int):
        self.clip, self.first = clip, first
        self.shape = (length, None, None, 3)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.clip[self.first + int(index)]
