"""Reading clips through MMAction2's readers, with errors that name the file."""
from pathlib import Path

from mmcv.transforms import BaseTransform

from mmuniformer.registry import TRANSFORMS

READERS = ('Decord', 'PyAV', 'OpenCV', 'RawFrame')


class ClipReadError(RuntimeError):
    """A clip couldn't be read. The message is one line that names the file and says what would be right."""


class _Reader(BaseTransform):

    def __init__(self, reader: str = 'Decord', **kwargs) -> None:
        if reader not in READERS:
            raise ValueError(f'reader must be one of {READERS}, got {reader!r}')
        self.reader = reader
        self.kwargs = kwargs

    def _build(self, step: str) -> BaseTransform:
        return TRANSFORMS.build(dict(type=f'mmaction.{self.reader}{step}', **self.kwargs))

    def __repr__(self) -> str:
        options = ''.join(f', {key}={value!r}' for key, value in self.kwargs.items())
        return f'{type(self).__name__}(reader={self.reader!r}{options})'


@TRANSFORMS.register_module()
class ClipInit(_Reader):
    """Open a video with MMAction2's ``DecordInit``, ``PyAVInit`` or ``OpenCVInit``; check a folder of raw frames.

    The first transform of a pipeline (MMAction2's inferencers know it by ``Init`` in the name). What those transforms
    raise seldom says which file it was about; this raises :class:`ClipReadError`, which does. A video without a frame
    is an error, too; one shorter than the clip isn't: the sampler repeats frames.

    Args:
        reader: ``'Decord'``, ``'PyAV'``, ``'OpenCV'`` or ``'RawFrame'``. Defaults to ``'Decord'``.
        kwargs: Arguments of MMAction2's transform, such as ``io_backend`` (``'disk'``) and ``num_threads`` (1).
    """

    def __init__(self, reader: str = 'Decord', **kwargs) -> None:
        super().__init__(reader, **kwargs)
        self.open = None if reader == 'RawFrame' else self._build('Init')

    def transform(self, results: dict) -> dict:
        """Add ``total_frames`` and what the decoder needs."""
        if self.open is None:
            source = results['frame_dir']
            if self.kwargs.get('io_backend', 'disk') == 'disk' and not Path(source).is_dir():
                raise ClipReadError(f'{source} is not a folder of frames: it is the data prefix joined with the first '
                                    'column of the annotation file, check both')
        else:
            source = results['filename']
            try:
                results = self.open(results)
            except FileNotFoundError as error:
                raise ClipReadError(f'{source} is not there: it is the data prefix joined with the first column of the '
                                    'annotation file, check both') from error
            except ImportError:
                raise
            except Exception as error:
                raise ClipReadError(f'{source} is not a video that {self.reader} can open ({_one_line(error)}): '
                                    're-encode it or take it out of the annotation file') from error
        if results['total_frames'] < 1:
            raise ClipReadError(f'{source} holds no frame that {self.reader} can read, and a clip needs at least 1: '
                                'take it out of the annotation file')
        return results


@TRANSFORMS.register_module()
class ClipDecode(_Reader):
    """Decode the sampled frames with MMAction2's transform for the reader, such as ``DecordDecode``.

    Raises :class:`ClipReadError` with the name of the file where a frame can't be decoded (a truncated video, a missing
    frame).

    Args:
        reader: ``'Decord'``, ``'PyAV'``, ``'OpenCV'`` or ``'RawFrame'``, the same as :class:`ClipInit`'s.
            Defaults to ``'Decord'``.
        kwargs: Arguments of MMAction2's transform.
    """

    def __init__(self, reader: str = 'Decord', **kwargs) -> None:
        super().__init__(reader, **kwargs)
        self.decode = self._build('Decode')

    def transform(self, results: dict) -> dict:
        """Add ``imgs``, ``original_shape`` and ``img_shape``."""
        source = results['frame_dir'] if self.reader == 'RawFrame' else results['filename']
        try:
            return self.decode(results)
        except Exception as error:
            first, last = results['frame_inds'].min(), results['frame_inds'].max()
            raise ClipReadError(f"{source}: can't decode frames {first} to {last} of {results['total_frames']} "
                                f'({_one_line(error)}): if it is damaged or shorter than stated, fetch it again, else '
                                're-encode it or take it out of the annotation file') from error


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
