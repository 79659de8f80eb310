"""RandAugment over clips, repeated augmentation, and readers that name the file they fail on."""
import random
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

import mmuniformer  # noqa: F401
from mmuniformer.datasets.transforms import ClipDecode, ClipInit, ClipRandAugment, ClipReadError, RepeatAugment

POLICY = 'rand-m7-n4-mstd0.5-inc1'


@pytest.fixture(autouse=True)
def _mmaction():
    init_default_scope('mmaction')
    import mmaction.datasets  # noqa: F401


def seed(number: int) -> None:
    random.seed(number)
    np.random.seed(number)


def picture(number: int = 0) -> np.ndarray:
    return np.random.RandomState(number).randint(0, 256, (48, 64, 3), dtype=np.uint8)


@pytest.fixture
def video(tmp_path) -> str:
    """A video of 20 frames, 64 wide and 48 high; frame ``i`` is of brightness ``10 i``."""
    path = str(tmp_path / 'bright.mp4')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'mp4v'), 25, (64, 48))
    assert writer.isOpened()
    for index in range(20):
        writer.write(np.full((48, 64, 3), 10 * index, np.uint8))
    writer.release()
    return path


def pipeline(reader: str = 'Decord', clip_len: int = 4) -> Compose:
    return Compose([
        dict(type='mmuniformer.ClipInit', reader=reader),
        dict(type='SampleFrames', clip_len=clip_len, frame_interval=2, out_of_bound_opt='repeat_last', test_mode=True),
        dict(type='mmuniformer.ClipDecode', reader=reader)
    ])


def item(path) -> dict:
    return dict(filename=str(path), label=0, start_index=0, modality='RGB')


class TestClipRandAugment:

    def test_same_choices_for_all_frames(self):
        augment, changed = ClipRandAugment(POLICY), 0
        for number in range(40):
            seed(number)
            first, other, same = augment(dict(imgs=[picture(1), picture(2), picture(1)]))['imgs']
            np.testing.assert_array_equal(first, same)
            assert first.shape == (48, 64, 3) and first.dtype == np.uint8
            changed += not np.array_equal(first, picture(1))
        # Each of 4 operations is skipped with probability 0.5, and some leave a picture of noise as it is.
        assert 20 <= changed <= 40

    def test_choices_differ_between_clips(self):
        augment = ClipRandAugment(POLICY)
        seed(0)
        results = {augment(dict(imgs=[picture()]))['imgs'][0].tobytes() for _ in range(20)}
        assert len(results) > 10

    def test_is_timms(self):
        from PIL import Image
        from timm.data.auto_augment import rand_augment_transform
        theirs = rand_augment_transform(POLICY, dict(interpolation=Image.Resampling.BILINEAR))
        for number in range(10):
            seed(number)
            ours = ClipRandAugment(POLICY, 'bilinear')(dict(imgs=[picture()]))['imgs'][0]
            seed(number)
            np.testing.assert_array_equal(ours, np.array(theirs(Image.fromarray(picture()))))

    def test_generators_go_on_as_after_one_frame(self):
        draws = []
        for frames in (1, 7):
            seed(3)
            ClipRandAugment(POLICY)(dict(imgs=[picture()] * frames))
            draws.append((random.random(), np.random.rand()))
        assert draws[0] == draws[1]

    @pytest.mark.parametrize('policy', ['augmix-m3', 'rand-q5', ''])
    def test_unknown_policy(self, policy):
        with pytest.raises(ValueError, match=f"such as 'rand-m7-n4-mstd0.5-inc1'.*got '{policy}'"):
            ClipRandAugment(policy)

    def test_unknown_interpolation(self):
        with pytest.raises(ValueError, match="one of .*'bicubic'.* got 'cubic'"):
            ClipRandAugment(POLICY, 'cubic')

    def test_without_timm(self, monkeypatch):
        monkeypatch.setitem(sys.modules, 'timm.data.auto_augment', None)
        with pytest.raises(ImportError, match='pip install timm'):
            ClipRandAugment(POLICY)


class TestRepeatAugment:

    def test_samples_share_frames_and_differ_in_augmentation(self):
        np.random.seed(0)
        repeat = RepeatAugment([dict(type='Flip', flip_ratio=0.5)], times=8)
        frames = [picture(1), picture(2)]
        before = [frame.copy() for frame in frames]
        samples = repeat(dict(imgs=frames, img_shape=(48, 64), modality='RGB', frame_inds=np.array([3, 5])))
        assert len(samples) == 8
        assert {sample['flip'] for sample in samples} == {True, False}
        for sample in samples:
            step = -1 if sample['flip'] else 1
            for frame, original in zip(sample['imgs'], before):
                np.testing.assert_array_equal(frame, original[:, ::step])
            assert sample['frame_inds'].tolist() == [3, 5]
        for frame, original in zip(frames, before):  # Flip works in place, on copies
            np.testing.assert_array_equal(frame, original)

    def test_collates_to_clips_times_samples(self, video):
        from mmengine.registry import FUNCTIONS
        steps = pipeline()
        steps.transforms.append(RepeatAugment([
            dict(type='FormatShape', input_format='NCTHW'), dict(type='PackActionInputs')], times=3))
        batch = FUNCTIONS.get('repeat_pseudo_collate')([steps(item(video)), steps(item(video))])
        assert len(batch['inputs']) == len(batch['data_samples']) == 6
        assert batch['inputs'][0].shape == (1, 3, 4, 48, 64) and batch['inputs'][0].dtype == torch.uint8

    def test_times(self):
        with pytest.raises(ValueError, match='at least 1'):
            RepeatAugment([], times=0)


class TestReading:

    @pytest.mark.parametrize('reader', ['Decord', 'OpenCV'])
    def test_frames(self, video, reader):
        results = pipeline(reader)(item(video))
        assert results['total_frames'] == 20
        assert results['frame_inds'].tolist() == [6, 8, 10, 12]
        brightness = [frame.mean() for frame in results['imgs']]
        np.testing.assert_allclose(brightness, [60, 80, 100, 120], atol=6)  # lossy

    def test_shorter_than_the_clip_repeats_the_last_frame(self, video):
        assert pipeline(clip_len=16)(item(video))['frame_inds'].tolist() == [*range(0, 20, 2), *[18] * 6]

    @pytest.mark.parametrize('name', ['demo.mp4', 'demo_skeleton.mp4', 'test.mp4', 'Tw2yXa6CzWE.mp4'])
    def test_real_videos(self, shared, name):
        results = pipeline(clip_len=16)(item(shared / 'data/video' / name))
        assert len(results['imgs']) == 16
        assert results['imgs'][0].shape == (*results['img_shape'], 3) and results['imgs'][0].std() > 5
        assert any((frame != results['imgs'][0]).any() for frame in results['imgs'])

    @pytest.mark.parametrize('reader', ['Decord', 'OpenCV'])
    def test_missing(self, tmp_path, reader):
        with pytest.raises(ClipReadError, match='nothing.mp4 is not there: .*data prefix.*annotation file'):
            pipeline(reader)(item(tmp_path / 'nothing.mp4'))

    @pytest.mark.parametrize('reader', ['Decord', 'OpenCV'])
    @pytest.mark.parametrize('content', [b'', b'<html>not a video</html>', b'\0' * 4096])
    def test_not_a_video(self, tmp_path, reader, content):
        (tmp_path / 'bad.mp4').write_bytes(content)
        with pytest.raises(ClipReadError, match=r'^[^\n]*bad.mp4[^\n]*take it out of the annotation file$'):
            pipeline(reader)(item(tmp_path / 'bad.mp4'))

    def test_truncated(self, video):
        with open(video, 'r+b') as file:
            file.truncate(1000)
        with pytest.raises(ClipReadError, match=r'^[^\n]*bright.mp4[^\n]*$'):
            pipeline()(item(video))

    def test_damaged_inside(self, shared, tmp_path):
        path = tmp_path / 'damaged.mp4'
        content = bytearray((shared / 'data/video/demo.mp4').read_bytes())
        third = len(content) // 3
        content[third:2 * third] = bytes(third)  # the header is whole, so it opens
        path.write_bytes(content)
        with pytest.raises(ClipReadError, match=r"^[^\n]*damaged.mp4: can't decode frames \d+ to \d+ of \d+[^\n]*$"):
            pipeline(clip_len=64)(item(path))

    def test_unknown_reader(self):
        for step in (ClipInit, ClipDecode):
            with pytest.raises(ValueError, match="one of .*'Decord'.*got 'ffmpeg'"):
                step('ffmpeg')


class TestRawFrames:

    @pytest.fixture
    def folder(self, tmp_path):
        for index in range(1, 9):
            cv2.imwrite(str(tmp_path / f'{index:05}.jpg'), np.full((48, 64, 3), 20 * index, np.uint8))
        return tmp_path

    def steps(self) -> Compose:
        return Compose([
            dict(type='mmuniformer.ClipInit', reader='RawFrame'),
            dict(type='UniformSample', clip_len=4, test_mode=True),
            dict(type='mmuniformer.ClipDecode', reader='RawFrame')
        ])

    def item(self, folder, total_frames=8) -> dict:
        return dict(frame_dir=str(folder), total_frames=total_frames, filename_tmpl='{:05}.jpg', label=0, start_index=1,
                    modality='RGB')

    def test_frames(self, folder):
        results = self.steps()(self.item(folder))
        brightness = [frame.mean() for frame in results['imgs']]
        np.testing.assert_allclose(brightness, 20 * results['frame_inds'], atol=4)

    def test_missing_folder(self, folder):
        shutil.rmtree(folder)
        with pytest.raises(ClipReadError, match=f'{folder} is not a folder of frames'):
            self.steps()(self.item(folder))

    def test_fewer_frames_than_stated(self, folder):
        with pytest.raises(ClipReadError, match=r"can't decode frames 4 to 26 of 30 .*shorter than stated"):
            self.steps()(self.item(folder, total_frames=30))

    def test_no_frames_stated(self, folder):
        with pytest.raises(ClipReadError, match=f'{folder} holds no frame'):
            self.steps()(self.item(folder, total_frames=0))

    def test_damaged_frame(self, folder):
        for file in folder.glob('*.jpg'):
            file.write_bytes(b'not a picture')
        with pytest.raises(ClipReadError, match=f"{folder}: can't decode frames"):
            self.steps()(self.item(folder))
