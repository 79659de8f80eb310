"""The generated videos: real files, the same every time, and no class to be seen in a single frame."""
import hashlib
import json

import cv2
import decord
import numpy as np
import pytest

from mmuniformer.datasets.generated import MOTIONS, generate_motion
from mmuniformer.datasets.generated.motion import draw_clip

NAMES = list(MOTIONS)


def digest(root) -> dict:
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in root.rglob('*') if file.is_file()}


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    return generate_motion(tmp_path_factory.mktemp('motion') / 'data', train=16, val=8, size=64, frames=20)


class TestFiles:

    def test_both_readers_see_the_drawn_frames(self, dataset):
        path = dataset / 'train/00001.mp4'
        drawn = draw_clip(np.random.default_rng([0, 0, 1]), NAMES[1], size=64, frames=20)
        by_decord = decord.VideoReader(str(path)).get_batch(range(20)).asnumpy()[..., ::-1]
        capture = cv2.VideoCapture(str(path))
        by_opencv = np.stack([capture.read()[1] for _ in range(20)])
        assert not capture.read()[0]
        for read in (by_decord, by_opencv):
            assert read.shape == drawn.shape
            assert np.abs(read.astype(float) - drawn).mean() < 6  # what the codec loses, of 255 grey levels

    def test_annotations(self, dataset):
        for name, count in (('train', 16), ('val', 8)):
            lines = [line.split(' ') for line in (dataset / f'{name}.txt').read_text().splitlines()]
            assert len({path for path, _ in lines}) == count
            assert all((dataset / path).is_file() for path, _ in lines)
            assert np.bincount([int(label) for _, label in lines]).tolist() == [count // 8] * 8
        assert (dataset / 'labels.txt').read_text().splitlines() == NAMES

    def test_splits_differ(self, dataset):
        assert not {(dataset / f'train/{i:05d}.mp4').read_bytes() for i in range(16)} & {
            (dataset / f'val/{i:05d}.mp4').read_bytes() for i in range(8)}


class TestStore:
    arguments = dict(train=8, val=8, size=32, frames=6)

    def test_the_seed_decides(self, tmp_path):
        one, same = (digest(generate_motion(tmp_path / name, **self.arguments)) for name in 'ab')
        other = digest(generate_motion(tmp_path / 'c', seed=1, **self.arguments))
        assert one == same
        assert all(one[file] != other[file] for file in one if file.endswith('mp4'))

    def test_finished_is_left_alone(self, tmp_path):
        generate_motion(tmp_path, **self.arguments)
        (tmp_path / 'train/00003.mp4').write_bytes(b'mine')
        generate_motion(tmp_path, **self.arguments)
        assert (tmp_path / 'train/00003.mp4').read_bytes() == b'mine'

    def test_interrupted_is_completed(self, tmp_path, monkeypatch):
        whole = digest(generate_motion(tmp_path / 'whole', **self.arguments))
        drawn = []

        def draw_some(*args, **kwargs):
            if len(drawn) == 5:
                raise KeyboardInterrupt
            drawn.append(args)
            return draw_clip(*args, **kwargs)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr('mmuniformer.datasets.generated.motion.draw_clip', draw_some)
            generate_motion(tmp_path / 'part', **self.arguments)
        first = tmp_path / 'part/train/00000.mp4'
        before = first.stat().st_mtime_ns
        assert digest(generate_motion(tmp_path / 'part', **self.arguments)) == whole
        assert first.stat().st_mtime_ns == before

    def test_other_arguments_replace(self, tmp_path):
        generate_motion(tmp_path, **self.arguments)
        generate_motion(tmp_path, **{**self.arguments, 'train': 16})
        assert len(list((tmp_path / 'train').iterdir())) == 16
        assert json.loads((tmp_path / 'generated.json').read_text())['recipe']['train'] == 16

    def test_files_of_others_are_safe(self, tmp_path):
        (tmp_path / 'thesis.tex').write_text('important')
        with pytest.raises(FileExistsError, match='not generated'):
            generate_motion(tmp_path, **self.arguments)
        assert (tmp_path / 'thesis.tex').read_text() == 'important'

    @pytest.mark.parametrize('arguments, message', [(dict(train=12), 'train=12.*multiple of 8'),
                                                    (dict(val=0), 'val=0.*multiple of 8'), (dict(size=63), 'even')])
    def test_bad_arguments(self, tmp_path, arguments, message):
        with pytest.raises(ValueError, match=message):
            generate_motion(tmp_path, **{**self.arguments, **arguments})

    def test_unknown_motion(self):
        with pytest.raises(ValueError, match='moves left'):
            draw_clip(np.random.default_rng(0), 'jumps')


@pytest.fixture(scope='module')
def clips() -> tuple[np.ndarray, np.ndarray]:
    """640 clips, grey, ``(N, T, H, W)``, and their labels."""
    labels = np.arange(640) % 8
    return np.stack([
        draw_clip(np.random.default_rng([7, i]), NAMES[label], size=48, frames=9, fps=6).mean(-1)
        for i, label in enumerate(labels)
    ]), labels


def linear_accuracy(features: np.ndarray, labels: np.ndarray) -> float:
    """Held-out accuracy of a ridge regression onto the classes, mean of both ways to split the samples in half."""
    features = (features - features.mean(0)) / (features.std(0) + 1e-6)
    features = np.hstack([features, np.ones((len(features), 1))])
    half = np.arange(len(labels)) // 8 % 2
    scores = []
    for train, test in ((half == 0, half == 1), (half == 1, half == 0)):
        x, y = features[train], np.eye(8)[labels[train]]
        weights = np.linalg.solve(x.T @ x + len(x) * np.eye(x.shape[1]), x.T @ y)
        scores.append(((features[test] @ weights).argmax(1) == labels[test]).mean())
    return float(np.mean(scores))


def appearance(frames: np.ndarray) -> np.ndarray:
    """A coarse picture of each frame, and how far its grey levels lie from their median: place and size."""
    small = np.stack([cv2.resize(frame, (8, 8), interpolation=cv2.INTER_AREA) for frame in frames]).reshape(-1, 64)
    off = np.abs(frames - np.median(frames, axis=(1, 2), keepdims=True))
    by_place = [off.mean(axis).reshape(len(off), -1, 4).mean(-1) for axis in (1, 2)]
    return np.hstack([small, small**2, *by_place, off.mean((1, 2))[:, None], (off > 30).mean((1, 2))[:, None]])


def motion(clips: np.ndarray) -> np.ndarray:
    """Shift, turn and growth of each clip's grey levels, from their change in time along their change in space."""
    before, after = clips[:, :-1], clips[:, 1:]
    change = after - before
    dy, dx = np.gradient((before + after) / 2, axis=(2, 3))
    moving = change**2 + 1e-3
    y, x = np.mgrid[:clips.shape[2], :clips.shape[3]]
    cy, cx = ((moving * axis).sum((2, 3), keepdims=True) / moving.sum((2, 3), keepdims=True) for axis in (y, x))
    flows = (dx, dy, (x - cx) * dy - (y - cy) * dx, (x - cx) * dx + (y - cy) * dy)
    # Correlations, so that contrast and size don't count; the median over time ignores jumps across the border.
    ratios = [(change * flow).sum((2, 3)) / np.sqrt((change**2).sum((2, 3)) * (flow**2).sum((2, 3)) + 1e-6)
              for flow in flows]
    return np.stack([np.median(ratio, 1) for ratio in ratios], 1)


class TestNoLeak:
    # Of 640 guesses at 8 classes 12.5 % are right, give or take 1.3 %; the bound is at four times that.
    bound = 0.125 + 4 * np.sqrt(0.125 * 0.875 / 640)

    @pytest.mark.parametrize('frame', [0, 4, 8])
    def test_single_frames_say_nothing(self, clips, frame):
        assert linear_accuracy(appearance(clips[0][:, frame]), clips[1]) < self.bound

    def test_mean_over_time_says_little(self, clips):
        """The blur of a moved shape has no direction: at best the axis of a motion can be told, not its sign."""
        accuracy = linear_accuracy(appearance(clips[0].mean(1)), clips[1])
        signed = [linear_accuracy(appearance(clips[0].mean(1))[pair], clips[1][pair])
                  for pair in (np.isin(clips[1], (i, i + 1)) for i in range(0, 8, 2))]
        assert accuracy < 0.5
        assert np.mean(signed) < 0.5 + 4 * np.sqrt(0.25 / 640)

    def test_changes_between_frames_say_it(self, clips):
        assert linear_accuracy(motion(clips[0]), clips[1]) > 0.6
