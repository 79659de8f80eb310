"""Images and videos: what is predicted, what is written, and what is said when it can't be."""
import json
import os
import runpy
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from mmuniformer.apis import PredictError, Predictor, predict, zoo
from mmuniformer.apis.labels import class_count, find_meta
from mmuniformer.apis.media import Stream
from mmuniformer.apis.zoo import load_config
from mmuniformer.datasets.generated.motion import write_video

from .models import CLASSES, FPS, LEVELS, ROOT, flicker


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def _image(path, rng, level=LEVELS[1]):
    assert cv2.imwrite(str(path), flicker(rng, level, 1)[0])
    return path


def _video(path, rng, level=LEVELS[1], frames=12):
    write_video(path, flicker(rng, level, frames), FPS)
    return path


# ---- what is predicted ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('label', [0, 1])
def test_video_as_mmaction2_sees_it(video_model, video_predictor, tmp_path, rng, label):
    from mmaction.apis.inferencers import ActionRecogInferencer
    path = _video(tmp_path / 'clip.mp4', rng, LEVELS[label])
    result = video_predictor(path)
    assert result['labels'][0]['name'] == CLASSES[label]
    assert result['labels'][0]['score'] > 0.8
    scores = ActionRecogInferencer(*map(str, video_model), device='cpu')(str(path))['predictions'][0]['pred_scores']
    for seen in result['labels']:
        assert seen['score'] == pytest.approx(scores[seen['label']], abs=1e-4)
    assert [(window['start'], window['end']) for window in result['windows']] == [(0, 1.2)]


@pytest.mark.parametrize('label', [0, 1])
def test_image_as_mmpretrain_sees_it(image_model, image_predictor, tmp_path, rng, label):
    from mmpretrain import ImageClassificationInferencer
    path = _image(tmp_path / 'picture.png', rng, LEVELS[label])
    labels = image_predictor(path)['frames'][0]['labels']
    assert labels[0]['name'] == CLASSES[label]
    assert labels[0]['score'] > 0.8
    config, checkpoint = map(str, image_model)
    scores = ImageClassificationInferencer(config, checkpoint, device='cpu')(str(path))[0]['pred_scores']
    for seen in labels:
        assert seen['score'] == pytest.approx(float(scores[seen['label']]), abs=1e-4)


def test_every_frame_of_a_video_by_an_image_model(image_predictor, tmp_path, rng):
    frames = np.concatenate([flicker(rng, level, 3) for level in LEVELS])
    write_video(tmp_path / 'both.mp4', frames, FPS)
    result = image_predictor(tmp_path / 'both.mp4', tmp_path / 'out')
    assert [frame['labels'][0]['label'] for frame in result['frames']] == [0, 0, 0, 1, 1, 1]
    assert [frame['time'] for frame in result['frames']] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    with Stream(tmp_path / 'out' / result['files']['drawn']) as drawn:
        assert len(list(drawn)) == 6


def test_folder_of_frames_is_one_clip(video_predictor, tmp_path, rng):
    folder = tmp_path / 'frames'
    folder.mkdir()
    for number, frame in enumerate(flicker(rng, LEVELS[0], 10)):
        cv2.imwrite(str(folder / f'{number:03d}.png'), frame)
    result = video_predictor(folder, tmp_path / 'out', fps=5)
    assert (result['kind'], result['seconds'], result['labels'][0]['name']) == ('frames', 2, 'dark')
    assert (tmp_path / 'out' / 'frames.mp4').is_file()


def test_labels_from_a_file(video_model, tmp_path, rng):
    (tmp_path / 'names.txt').write_text('Nacht\nTag – größer\n', encoding='utf-8')
    result = predict(*video_model, _video(tmp_path / 'x.mp4', rng), tmp_path / 'out', device='cpu',
                     labels=tmp_path / 'names.txt')
    assert result['labels'][0]['name'] == 'Tag – größer'
    assert json.loads((tmp_path / 'out' / 'x.json').read_text(encoding='utf-8')) == result


@pytest.mark.parametrize('name, scope, first, colours', [
    ('uniformer-small_8xb128_in1k', 'mmpretrain', 'tench', False),
    ('mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco', 'mmdet', 'person', True),
    ('uniformer-small-h14_fpn_8xb4-80k_ade20k-512x512', 'mmseg', 'wall', True),
    ('uniformer-small_imagenet1k-pre_16x4x1_kinetics400-rgb', 'mmaction', 'class 0', False)])
def test_names_of_the_configs_data_set(name, scope, first, colours):
    """Where the checkpoint has none: a converted one."""
    cfg = load_config(name)
    assert cfg.default_scope == scope
    meta = find_meta(cfg, None, None)
    assert meta['classes'][0].startswith(first)
    assert len(meta['classes']) == class_count(cfg.model)
    assert ('palette' in meta) == colours


# ---- what is written ------------------------------------------------------------------------------------------------


def test_drawn_video_and_json(video_predictor, tmp_path, rng):
    path = _video(tmp_path / 'clip.mp4', rng)
    for container in ('mp4', 'webm'):
        result = video_predictor(path, tmp_path / container, video=container)
        assert result['files'] == {'drawn': f'clip.{container}', 'json': 'clip.json'}
        assert json.loads((tmp_path / container / 'clip.json').read_text()) == result
        with Stream(tmp_path / container / f'clip.{container}') as drawn:
            frames = list(drawn)
        assert len(frames) == 12
        # Enlarged from 64 to 320 pixels, below a dark strip with light letters.
        height, width = frames[0].shape[:2]
        assert width == 320 and height > 240
        strip = frames[0][:height - 240]
        assert np.median(strip) < 60 and strip.max() > 150
        assert abs(frames[0][height - 240:].mean() - LEVELS[1]) < 12


def test_files_of_a_folder(image_predictor, tmp_path, rng):
    folder = tmp_path / 'mixed'
    folder.mkdir()
    _image(folder / 'a.png', rng, LEVELS[0])
    _image(folder / 'a.jpg', rng, LEVELS[1])
    _video(folder / 'b.mp4', rng, frames=2)
    (folder / 'notes.txt').write_text('no picture')
    (folder / 'empty.png').touch()
    with pytest.warns(UserWarning, match='Left out: .*notes.txt') as caught:
        results = image_predictor(folder, tmp_path / 'out')
    assert any('empty.png is empty' in str(warning.message) for warning in caught)
    assert [result['input'].rpartition('/')[2] for result in results] == ['a.jpg', 'a.png', 'b.mp4']
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        'a.jpg', 'a.json', 'a.png.jpg', 'a.png.json', 'b.mp4', 'b.json'}


def test_exif_rotation(image_predictor, tmp_path, rng):
    from PIL import Image
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(flicker(rng, 100, 1)[0]).save(tmp_path / 'turned.jpg', exif=exif)
    result = image_predictor(tmp_path / 'turned.jpg')
    assert (result['width'], result['height']) == (48, 64)


# ---- configs and checkpoints ----------------------------------------------------------------------------------------


def test_zoo_holds_every_config():
    configs = [path for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts]
    assert len(zoo()) == len(configs)
    with pytest.raises(PredictError, match='did you mean uniformer-demo_recognition'):
        Predictor('uniformer-demo_recogntion', 'x.pth')
    with pytest.raises(PredictError, match=r'qqq is neither a config file nor the name of a config of the \d+'):
        Predictor('qqq', 'x.pth')


def test_zoo_name_with_and_without_ending(tmp_path):
    for name in ('uniformer-demo_recognition', 'uniformer-demo_recognition.py'):
        with pytest.raises(PredictError, match='absent.pth: no such file'):
            Predictor(name, tmp_path / 'absent.pth')


def test_config_that_is_none(tmp_path):
    (tmp_path / 'broken.py').write_text('model = dict(\n')
    (tmp_path / 'other.py').write_text('a = 1\n')
    with pytest.raises(PredictError, match='broken.py can not be read as a config'):
        Predictor(tmp_path / 'broken.py', 'x.pth')
    with pytest.raises(PredictError, match='other.py has no `model`: give the config of a task'):
        Predictor(tmp_path / 'other.py', 'x.pth')


def test_checkpoint_of_other_classes_or_another_model(video_model, image_model):
    with pytest.raises(PredictError, match=r'epoch_20.pth has 2 classes and uniformer-demo_recognition 8|does not fit'):
        Predictor('uniformer-demo_recognition', video_model[1], device='cpu')
    with pytest.raises(PredictError, match=r'does not fit .*: \d+ of \d+ tensors differ or are missing'):
        Predictor(image_model[0], video_model[1], device='cpu')


@pytest.mark.parametrize('device', ['foo', 'cuda:99'])
def test_device_that_is_not_there(image_model, device):
    with pytest.raises(PredictError, match=f'^Device {device} can not be used .*: give one that is there') as error:
        Predictor(*image_model, device=device)
    assert '\n' not in str(error.value)


def test_only_the_classes_differ(video_model, tmp_path):
    content = torch.load(video_model[1], weights_only=False)
    for name in ('cls_head.fc_cls.weight', 'cls_head.fc_cls.bias'):
        content['state_dict'][name] = content['state_dict'][name].repeat_interleave(3, 0)
    torch.save(content, tmp_path / 'six.pth')
    with pytest.raises(PredictError, match=r'six.pth has 6 classes and .*config.py 2 \(rows of cls_head.fc_cls'):
        Predictor(video_model[0], tmp_path / 'six.pth', device='cpu')


def test_official_checkpoint_is_refused(video_model, tmp_path):
    from mmuniformer.models import UniFormer3D
    torch.save(UniFormer3D('small').state_dict(), tmp_path / 'official.pth')
    with pytest.raises(PredictError, match='official video.*convert.py .*--to mm'):
        Predictor(video_model[0], tmp_path / 'official.pth')


def test_labels_that_do_not_fit(video_model, tmp_path):
    (tmp_path / 'three.txt').write_text('a\nb\nc\n')
    with pytest.raises(PredictError, match='three.txt has 3 labels, but the model has 2 classes'):
        Predictor(*video_model, device='cpu', labels=tmp_path / 'three.txt')
    with pytest.raises(PredictError, match='none.txt can not be read as a list of labels'):
        Predictor(*video_model, device='cpu', labels=tmp_path / 'none.txt')


# ---- inputs that can't be predicted on ------------------------------------------------------------------------------


def test_bad_inputs(video_predictor, image_predictor, tmp_path, rng):
    video, image = _video(tmp_path / 'v.mp4', rng), _image(tmp_path / 'i.png', rng)
    (tmp_path / 'cut.mp4').write_bytes(video.read_bytes()[:200])
    (tmp_path / 'cut.png').write_bytes(image.read_bytes()[:60])
    (tmp_path / 'text.mp4').write_text('<html>not found</html>')
    (tmp_path / 'void.mp4').touch()
    (tmp_path / 'nothing').mkdir()
    (tmp_path / 'texts').mkdir()
    shutil.copy(tmp_path / 'text.mp4', tmp_path / 'texts')
    for predictor in (video_predictor, image_predictor):
        for name, said in (('absent.mp4', 'is not there'), ('cut.mp4', 'can not be decoded'),
                           ('text.mp4', 'can not be decoded'), ('cut.png', 'can not be decoded'),
                           ('void.mp4', 'is empty|can not be decoded'),
                           ('nothing', r'holds no image or video that can be predicted on \(0 files\)'),
                           ('texts', r'holds no image or video that can be predicted on \(1 files, such as this')):
            with pytest.raises(PredictError, match=f'{name} .*{said}|{name} {said}'):
                predictor(tmp_path / name)
    with pytest.raises(PredictError, match='i.png is an image, and .*looks at motion'):
        video_predictor(image)
    with pytest.raises(PredictError, match='holds the input, which the results could overwrite'):
        video_predictor(video, tmp_path)
    with pytest.raises(PredictError, match='can not be made to write into'):
        video_predictor(video, image)
    with pytest.raises(PredictError, match='window is -1, but has to be more than 0'):
        video_predictor(video, window=-1)


def test_too_short_for_the_sampling(video_predictor, tmp_path, rng):
    with pytest.raises(PredictError, match='two.mp4 is too short: it has 2 frames, and the model looks at 4 different'):
        video_predictor(_video(tmp_path / 'two.mp4', rng, frames=2))
    # Enough frames, but fewer than four of every second: predicted, and said.
    result = video_predictor(_video(tmp_path / 'six.mp4', rng, frames=6))
    assert result['labels'][0]['name'] == 'bright'
    assert 'samples 8 frames, but has 6 to look at' in result['notes'][0]


@pytest.mark.parametrize('number', [97, '97'])
def test_camera_that_is_not_there(image_predictor, number):
    with pytest.raises(PredictError, match='Camera 97 can not be opened: give the number of one that is there'):
        image_predictor(number)


# ---- the command ----------------------------------------------------------------------------------------------------


def test_command(video_model, tmp_path, rng):
    path = _video(tmp_path / 'clip.mp4', rng)
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    command = [sys.executable, ROOT / 'demo' / 'predict.py', *video_model, path, '--out', 'results', '--device', 'cpu']
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f'{path}: bright ' in done.stdout
    assert {file.name for file in (tmp_path / 'results').iterdir()} == {'clip.json', 'clip.mp4'}


def test_command_fails_in_one_line(video_model, tmp_path, monkeypatch):
    absent = str(tmp_path / 'absent.mp4')
    monkeypatch.setattr(sys, 'argv', ['predict.py', *map(str, video_model), absent, '--device', 'cpu'])
    with pytest.raises(SystemExit, match=f'^{absent} is not there: give an image, [^\n]*$'):
        runpy.run_path(str(ROOT / 'demo' / 'predict.py'), run_name='__main__')
