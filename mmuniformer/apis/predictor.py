"""From a config, a checkpoint and a file to what the model sees in it."""
import contextlib
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmuniformer.engine.launch import first_line
from mmuniformer.engine.missing import advice

from .caption import add_caption, label_lines
from .errors import PredictError
from .labels import find_meta
from .media import Clip, FramesClip, ListClip, Stream, VideoClip, kind, read_image
from .output import CODECS, Output
from .quiet import quiet
from .tasks import TASKS, FrameTask
from .timeline import own_parts, windows
from .weights import check_fit, read_checkpoint
from .zoo import load_config

LONG = 20.  # seconds from which on a video is looked at in windows unless told otherwise
WINDOW = 4.  # seconds of a window for models that spread their frames over what they are given
_LOCK = threading.RLock()  # the frameworks' default scope is one for the whole process


class Predictor:
    """A model of any task, ready for files.

    Args:
        config (str | Path | Config): A config, its path, or the name of one in the zoo.
        checkpoint (str): Weights under the framework's names, as the Runner writes them or
            ``tools/model_converters/convert.py --to mm``: a path, URL or ``hf://owner/repository/file``.
        device (str, optional): Such as ``'cpu'`` or ``'cuda:0'``. Defaults to the accelerator if there is one.
        labels (str | Path, optional): Text file with the name of one class a line. Defaults to the checkpoint's names,
            or the config's.
        threshold (float): Least score of a box (detection, pose) and of a drawn keypoint. Defaults to 0.3.
        detector (tuple[str, str], optional): For pose: config (or name in the zoo) and checkpoint of an MMDetection
            model whose class 0 are the boxes to look at. Defaults to the whole picture as one box.

    Raises:
        PredictError: One of them isn't there, can't be read, or doesn't fit the others.

    Examples:
        >>> from mmuniformer.apis import Predictor
        >>> predictor = Predictor('uniformer-small_8xb128_in1k', 'small.pth', device='cpu')
        >>> predictor('cat.jpg', out='predictions')['frames'][0]['labels'][0]['name']
        'tabby, tabby cat'
    """

    def __init__(self, config: str | Path | Config, checkpoint: str | Path, device: str | None = None,
                 labels: str | Path | None = None, threshold: float = 0.3,
                 detector: tuple[str, str] | None = None):
        cfg = config if isinstance(config, Config) else load_config(str(config))
        self.config = str(cfg.filename or 'config') if isinstance(config, Config) else str(config)
        self.checkpoint = str(checkpoint)
        self.scope = cfg.get('default_scope')
        if self.scope not in TASKS or 'model' not in cfg or 'test_dataloader' not in cfg:
            raise PredictError(f'{self.config} is no config to predict with: it needs a model, a test_dataloader and a '
                               f'default_scope of {", ".join(TASKS)}')
        content, path = read_checkpoint(self.checkpoint)
        device = device or get_device()
        _check_device(device)
        options = {}
        kind_of_task = TASKS[self.scope].name
        if labels is not None and kind_of_task == 'pose':
            raise PredictError(f'Labels are names of classes, and {self.config} is of pose: its keypoints have names')
        if detector is not None:
            if kind_of_task != 'pose':
                raise PredictError(f'A detector is for pose estimation, and {self.config} is of {kind_of_task}')
            options['detector'] = _detector(*map(str, detector))
        # What is wrong with the weights is checked and said after it.
        with self._in_scope(), quiet(MMLogger.get_current_instance()):
            try:
                meta = find_meta(cfg, content.get('meta'), labels)
                self.task = TASKS[self.scope](cfg, str(path), device, meta, **options)
            except ImportError as error:
                raise PredictError(f'{kind_of_task.capitalize()} needs '
                                   f'{advice(error) or f"what can not be imported ({error})"}') from error
            check_fit(self.task.inferencer.model, content, self.checkpoint, self.config)
        self.task.threshold = threshold

    def __call__(self, source: str | Path | int, out: str | Path | None = None, *, window: float | None = None,
                 stride: float | None = None, seconds: float | None = None, fps: float = 30.,
                 video: str = 'mp4') -> dict[str, Any] | list[dict[str, Any]]:
        """Predict on a file, the files of a folder, or a camera.

        Args:
            source: An image, a video, a folder of them (for recognition also a folder of the frames of one clip), or
                the number of a camera.
            out: Folder for the JSON, the drawn picture or video, and of a long video the timeline. Defaults to none.
            window: Recognition: seconds to look at at a time. Defaults, for videos of more than 20 seconds and cameras,
                to what a clip of the config spans; shorter ones are looked at as a whole.
            stride: Recognition: seconds from one window to the next. Defaults to half a window.
            seconds: Of a camera: when to stop. Defaults to never, or an interrupt (Ctrl-C).
            fps: Frames a second of a folder of frames. Defaults to 30.
            video: Container of drawn videos, ``'mp4'`` or ``'webm'`` (which browsers show). Defaults to ``'mp4'``.

        Returns:
            What the JSON holds (``docs/predict.md`` describes it); of a folder a list of that, one for each file that
            could be read, with a warning for each that couldn't.

        Raises:
            PredictError: Nothing could be predicted.
        """
        for name, value in (('window', window), ('stride', stride), ('seconds', seconds), ('fps', fps)):
            if value is not None and not value > 0:
                raise PredictError(f'{name} is {value:g}, but has to be more than 0')
        if video not in CODECS:
            raise PredictError(f'{video} is no container of videos: choose one of {", ".join(CODECS)}')
        run = _Run(self, None if out is None else Path(out), window, stride, seconds, fps, video)
        with self._in_scope():
            return run(_as_source(source))

    @contextlib.contextmanager
    def _in_scope(self) -> Iterator[None]:
        with _LOCK, DefaultScope.overwrite_default_scope(self.scope):
            yield


def predict(config: str | Path | Config, checkpoint: str | Path, source: str | Path | int,
            out: str | Path | None = None, **options) -> dict[str, Any] | list[dict[str, Any]]:
    """Predict once; :class:`Predictor` keeps the model for more.

    Args:
        config: See :class:`Predictor`.
        checkpoint: See :class:`Predictor`.
        source: See :meth:`Predictor.__call__`.
        out: See :meth:`Predictor.__call__`.
        options: Further arguments of either.

    Raises:
        PredictError: Nothing could be predicted.
    """
    of_model = {key: options.pop(key) for key in ('device', 'labels', 'threshold', 'detector') if key in options}
    return Predictor(config, checkpoint, **of_model)(source, out, **options)


class _Run:
    """One call of a predictor: what its files and options come to."""

    def __init__(self, predictor: Predictor, out: Path | None, window: float | None, stride: float | None,
                 seconds: float | None, fps: float, video: str):
        self.predictor, self.task, self.out = predictor, predictor.task, out
        self.window, self.stride, self.seconds, self.fps, self.video = window, stride, seconds, fps, video
        self.taken: set[str] = set()

    def __call__(self, source: Path | int) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(source, int):
            return self.camera(source)
        if not source.exists():
            raise PredictError(f'{source} is not there: give an image, a video, a folder or the number of a camera')
        folder = source if source.is_dir() else source.parent
        if self.out is not None and self.out.resolve() == folder.resolve():
            raise PredictError(f'{self.out} holds the input, which the results could overwrite: give another folder '
                               'for the results')
        return self.folder(source) if source.is_dir() else self.file(source, kind(source))

    def folder(self, folder: Path) -> dict[str, Any] | list[dict[str, Any]]:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith('.'))
        kinds = {path: kind(path) for path in files}
        images = [path for path in files if kinds[path] == 'image']
        if not isinstance(self.task, FrameTask) and images and 'video' not in kinds.values():
            return self.clip(folder, FramesClip(images, self.fps), 'frames', images)
        results, errors = [], []
        for path in files:
            try:
                results.append(self.file(path, kinds[path]))
            except PredictError as error:
                errors.append(str(error))
        if not results:
            why = f', such as this: {errors[0]}' if errors else ''
            raise PredictError(f'{folder} holds no image or video that can be predicted on ({len(files)} files{why})')
        for error in errors:
            warnings.warn(f'Left out: {error}', stacklevel=4)
        return results

    def file(self, path: Path, what: str | None) -> dict[str, Any]:
        if isinstance(self.task, FrameTask):
            if what == 'video':
                with Stream(path) as stream:
                    return self.stream(path, stream, 'video')
            return self.image(path)  # or the error that says why not
        if what == 'image':
            raise PredictError(f'{path} is an image, and {self.predictor.config} looks at motion: give a video or a '
                               'folder of frames')
        return self.clip(path, VideoClip(path), 'video')

    def camera(self, number: int) -> dict[str, Any]:
        with Stream(number) as stream:
            if isinstance(self.task, FrameTask):
                return self.stream(number, stream, 'camera')
            return self.live(number, stream)

    # ---- pictures --------------------------------------------------------------------------------------------------

    def image(self, path: Path) -> dict[str, Any]:
        if path.stat().st_size == 0:
            raise PredictError(f'{path} is empty: give an image or a video')
        image = read_image(path) if cv2.haveImageReader(str(path)) else None
        if image is None:
            Stream(path).close()  # raises: it is neither
        output = self.output(path)
        sample = self.task.infer(image)
        result = self.head(path, 'image', image.shape)
        result['frames'] = [self.task.record(sample)]
        if output:
            output.image(self.task.draw(image, sample))
            mask = self.task.mask(sample)
            if mask is not None:
                output.mask(mask)
        return output.finish(result)

    def stream(self, source: Path | int, stream: Stream, what: str) -> dict[str, Any]:
        """Every frame of a video or camera by itself; one is held at a time."""
        output, result, records = self.output(source), None, []
        with _interruptible(what == 'camera'):
            for number, frame in enumerate(self.limited(stream)):
                result = result or self.head(source, what, frame.shape, stream.fps)
                sample = self.task.infer(frame)
                records.append(dict(frame=number, time=round(number / stream.fps, 3), **self.task.record(sample)))
                if output:
                    output.frame(self.task.draw(frame, sample), stream.fps)
        return output.finish(dict(result, frames=records))

    # ---- recognition -----------------------------------------------------------------------------------------------

    def clip(self, source: Path, clip: Clip, what: str, images: Sequence[Path] = ()) -> dict[str, Any]:
        """A video as a whole or window by window; only the frames that one window samples are held at a time."""
        self.task.check_length(clip, str(source))
        total, fps = len(clip), clip.fps
        notes, records, mean = [], [], 0.
        length, stride = self.steps(fps, total)
        for first, end in windows(total, length, stride):
            try:
                scores = self.task.scores(clip, first, end - first)
            except PredictError as error:
                if not records:
                    raise
                notes.append(f'Stopped at {first / fps:.1f} seconds: {error}')
                break
            mean = mean + scores
            records.append(dict(start=round(first / fps, 3), end=round(end / fps, 3), labels=self.task.best(scores)))
        result = self.head(source, what, clip[0].shape, fps)
        result.update(seconds=round(total / fps, 3), labels=self.task.best(mean / len(records)), windows=records)
        if length < (self.task.span or 0):
            notes.append(f'The model samples {self.task.span} frames, but has {length} to look at: some were repeated '
                         'or sampled closer together')
        if notes:
            result['notes'] = notes
        output = self.output(source)
        if output:
            if len(records) > 1:
                output.timeline(records, f'{output.name}: {Path(self.predictor.config).stem}')
            self.draw(output, records, fps, (read_image(path) for path in images) if images else None, source)
        return output.finish(result)

    def draw(self, output: Output, records: Sequence[dict[str, Any]], fps: float,
             frames: Iterator[np.ndarray] | None, source: Path) -> None:
        """Write the video with each window's labels in its own time."""
        ends = [end for _, end in own_parts(records)]
        with contextlib.ExitStack() as stack:
            current = 0
            for number, frame in enumerate(frames or stack.enter_context(Stream(source))):
                while current < len(ends) - 1 and number / fps >= ends[current]:
                    current += 1
                output.frame(add_caption(frame, label_lines(records[current]['labels'])), fps)

    def live(self, number: int, stream: Stream) -> dict[str, Any]:
        """A camera: the last window of frames is held, and looked at every stride."""
        length, stride = self.steps(stream.fps, None)
        output, result, records, mean = self.output(number), None, [], 0.
        held: deque[np.ndarray] = deque(maxlen=length)
        lines = ['...']
        with _interruptible(True):
            for index, frame in enumerate(self.limited(stream)):
                result = result or self.head(number, 'camera', frame.shape, stream.fps)
                held.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
                if len(held) == length and (index + 1 - length) % stride == 0:
                    scores = self.task.scores(ListClip(held, stream.fps), 0, length)
                    mean = mean + scores
                    records.append(dict(start=round((index + 1 - length) / stream.fps, 3),
                                        end=round((index + 1) / stream.fps, 3), labels=self.task.best(scores)))
                    lines = label_lines(records[-1]['labels'])
                if output:
                    output.frame(add_caption(frame, lines), stream.fps)
        if not records:
            raise PredictError(f'Camera {number} gave fewer frames than the {length} of one window')
        result.update(seconds=round((index + 1) / stream.fps, 3), labels=self.task.best(mean / len(records)),
                      windows=records)
        if len(records) > 1:
            output.timeline(records, f'camera {number}: {Path(self.predictor.config).stem}')
        return output.finish(result)

    def steps(self, fps: float, total: int | None) -> tuple[int, int]:
        """Frames of a window, and from one window to the next; all there are where windows aren't called for."""
        if total is not None and self.window is None and self.stride is None and total / fps <= LONG:
            return total, total
        if self.window is None:
            length = self.task.span or round(WINDOW * fps)
        else:
            length = round(self.window * fps)
        if length < self.task.needed:
            raise PredictError(f'A window of {length / fps:.2g} seconds is too short: it has {length} frames, and the '
                               f'model looks at {self.task.needed} different ones')
        length = length if total is None else min(length, total)
        return length, max(1, round(length / 2 if self.stride is None else self.stride * fps))

    # ---- all -------------------------------------------------------------------------------------------------------

    def limited(self, stream: Stream) -> Iterator[np.ndarray]:
        return islice(stream, None if self.seconds is None else max(1, round(self.seconds * stream.fps)))

    def head(self, source: Path | int, what: str, shape: Sequence[int], fps: float | None = None) -> dict[str, Any]:
        head = dict(input=str(source), kind=what, task=self.task.name, config=self.predictor.config,
                    checkpoint=self.predictor.checkpoint, width=int(shape[1]), height=int(shape[0]))
        return head if fps is None else dict(head, fps=round(float(fps), 3))

    def output(self, source: Path | int) -> Output:
        name = f'camera{source}' if isinstance(source, int) else (source.name if source.is_dir() else source.stem)
        if name in self.taken:
            name = source.name  # of two files that differ in the ending alone
        self.taken.add(name)
        return Output(self.out, name, self.video)


def _check_device(device: str) -> None:
    try:
        torch.zeros(0, device=device)
    except (AssertionError, NotImplementedError, RuntimeError) as error:  # what PyTorch raises differs by its build
        raise PredictError(f'Device {device} can not be used ({first_line(error)}): give one that is there, such as '
                           f'{get_device()}') from error


def _as_source(source: str | Path | int) -> Path | int:
    if isinstance(source, str) and source.isdigit() and not Path(source).exists():
        return int(source)
    return source if isinstance(source, int) else Path(source)


def _detector(config: str, checkpoint: str) -> tuple[str, str, int]:
    cfg = load_config(config)
    if cfg.get('default_scope') != 'mmdet':
        raise PredictError(f'{config} is not a config of MMDetection, and so no detector')
    return str(cfg.filename), str(read_checkpoint(checkpoint)[1]), 0


@contextlib.contextmanager
def _interruptible(may: bool) -> Iterator[None]:
    """Let Ctrl-C end what has no end of its own."""
    try:
        yield
    except KeyboardInterrupt:
        if not may:
            raise
