"""Long videos window by window: which windows, what they say when, and how much is held at once."""
import csv
import tracemalloc
import weakref

import cv2
import numpy as np
import pytest

from mmuniformer.apis import PredictError
from mmuniformer.apis.media import Stream, VideoClip
from mmuniformer.apis.predictor import _Run
from mmuniformer.apis.timeline import own_parts, windows
from mmuniformer.datasets.generated.motion import write_video

from .models import FPS, LEVELS, flicker


def _two_halves(path, frames):
    """Dark, then bright."""
    rng = np.random.default_rng(2)
    write_video(path, np.concatenate([flicker(rng, level, frames // 2) for level in LEVELS]), FPS)
    return path


@pytest.mark.parametrize('total, length, stride', [(100, 10, 5), (103, 10, 5), (10, 10, 5), (7, 10, 5), (50, 8, 20)])
def test_windows(total, length, stride):
    found = windows(total, length, stride)
    assert found[0][0] == 0 and found[-1][1] == total
    assert all(end - start == min(length, total) for start, end in found)
    assert all(0 < b - a <= stride for (a, _), (b, _) in zip(found, found[1:]))
    records = [dict(start=start, end=end) for start, end in found]
    parts = own_parts(records)
    assert (parts[0][0], parts[-1][1]) == (0, total)
    assert all(a[1] == b[0] for a, b in zip(parts, parts[1:]))


def test_labels_over_time(video_predictor, tmp_path):
    result = video_predictor(_two_halves(tmp_path / 'long.mp4', 240), tmp_path / 'out', window=2, stride=1)
    assert result['seconds'] == 24
    assert result['files'] == {'drawn': 'long.mp4', 'json': 'long.json', 'csv': 'long_timeline.csv',
                               'timeline': 'long_timeline.png'}
    with (tmp_path / 'out' / 'long_timeline.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(result['windows']) == 23
    for row, window in zip(rows, result['windows']):
        assert (float(row['start']), float(row['end'])) == (window['start'], window['end'])
        assert row['label_1'] == window['labels'][0]['name']
        if float(row['end']) <= 12:
            assert row['label_1'] == 'dark'
        if float(row['start']) >= 12:
            assert row['label_1'] == 'bright'
    picture = cv2.imread(str(tmp_path / 'out' / 'long_timeline.png'))
    assert picture.shape[1] == 1100
    # Two rows of bars: the dark blue of a high score is on the left of one and on the right of the other.
    blue = (picture[..., 0].astype(int) - picture[..., 2]) > 80
    left, right = blue[:, 150:550].sum(1) > 300, blue[:, 650:1050].sum(1) > 300
    assert left.any() and right.any() and not (left & right).any()
    assert np.argmax(left) != np.argmax(right)


def test_only_long_videos_are_cut_unless_told(video_predictor, tmp_path):
    assert len(video_predictor(_two_halves(tmp_path / 'a.mp4', 200))['windows']) == 1
    assert len(video_predictor(tmp_path / 'a.mp4', stride=5)['windows']) > 1
    result = video_predictor(_two_halves(tmp_path / 'b.mp4', 220))
    # What four frames, every second, span, and half of it from one to the next
    assert [window['start'] for window in result['windows'][:3]] == [0, 0.4, 0.8]
    assert result['windows'][0]['end'] == 0.8
    with pytest.raises(PredictError, match='A window of 0.2 seconds is too short: it has 2 frames'):
        video_predictor(tmp_path / 'b.mp4', window=0.2)


class Watched:
    """A video that counts its frames: how many were decoded, and how many are held by anybody at the same time."""

    def __init__(self, path):
        self.clip, self.decoded, self.held, self.most = VideoClip(path), [], 0, 0
        self.fps = self.clip.fps

    def __len__(self):
        return len(self.clip)

    def __getitem__(self, index):
        frame = self.clip[index]
        self.decoded.append(index)
        self.held += 1
        self.most = max(self.most, self.held)
        weakref.finalize(frame, self._gone)
        return frame

    def _gone(self):
        self.held -= 1


def test_no_more_frames_are_held_than_a_window_samples(video_predictor, tmp_path):
    path = _two_halves(tmp_path / 'long.mp4', 240)
    watched = Watched(path)
    run = _Run(video_predictor, None, 2, 2, None, 30, 'mp4')
    result = run.clip(path, watched, 'video')
    assert len(result['windows']) == 12
    assert watched.most <= 4, 'four frames are sampled'
    assert len(watched.decoded) == 12 * 4 + 1, 'and one more, for the size of the video'
    assert watched.held == 0


def test_what_comes_before_the_damage_is_kept(video_predictor, tmp_path):
    class Damaged(VideoClip):

        def __getitem__(self, index):
            if index >= self.good:
                raise PredictError(f'can not be decoded at frame {index}')
            return super().__getitem__(index)

    path = _two_halves(tmp_path / 'long.mp4', 240)
    clip, run = Damaged(path), _Run(video_predictor, None, 2, 2, None, 30, 'mp4')
    clip.good = 100
    result = run.clip(path, clip, 'video')
    assert [window['end'] for window in result['windows']] == [2, 4, 6, 8, 10]
    assert result['labels'][0]['name'] == 'dark'
    assert result['notes'] == ['Stopped at 10.0 seconds: can not be decoded at frame 106']
    clip.good = 3
    with pytest.raises(PredictError, match='can not be decoded at frame'):
        run.clip(path, clip, 'video')


def test_memory_does_not_grow_with_the_video(video_predictor, tmp_path):
    """With the drawn video and timeline; a frame of 48 x 64 is 9 kB, 600 of them would be 5.5 MB."""
    peaks = []
    for frames in (60, 660):
        path = _two_halves(tmp_path / f'{frames}.mp4', frames)
        video_predictor(path, tmp_path / 'warm', window=6, stride=6)
        tracemalloc.start()
        video_predictor(path, tmp_path / 'out', window=6, stride=6)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1.5e6


def test_a_camera_is_looked_at_window_by_window(video_predictor, tmp_path):
    """Read from a file, which gives frames as a camera does: one after another, once."""
    path = _two_halves(tmp_path / 'long.mp4', 80)
    run = _Run(video_predictor, tmp_path / 'out', 2, 1, 7, 30, 'mp4')
    with Stream(path) as stream:
        result = run.live(0, stream)
    assert (result['kind'], result['seconds']) == ('camera', 7)
    assert [(window['start'], window['end']) for window in result['windows']] == [(i, i + 2) for i in range(6)]
    assert [result['windows'][i]['labels'][0]['name'] for i in (0, 2, 4, 5)] == ['dark', 'dark', 'bright', 'bright']
    with Stream(tmp_path / 'out' / 'camera0.mp4') as drawn:
        assert len(list(drawn)) == 70
    run = _Run(video_predictor, None, 2, 1, 1, 30, 'mp4')
    with Stream(path) as stream, pytest.raises(PredictError, match='Camera 0 gave fewer frames than the 20 of one'):
        run.live(0, stream)
