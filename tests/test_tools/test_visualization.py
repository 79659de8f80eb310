"""Attention, Grad-CAM and feature maps against a direct computation, and the commands that draw them."""
import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmuniformer.apis import PredictError
from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from mmuniformer.visualization import (
    attention_of,
    colored,
    features_of,
    grad_cam,
    marked,
    painted,
    principal_colors,
    save,
)

ROOT = Path(__file__).resolve().parents[2]
TINY = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 32, 48], head_dim=16)
CASES = {
    'image': (UniFormer, {}, (1, 3, 64, 96), (1, 4)),
    'image, windows': (UniFormer, dict(attention='window', window_size=3), (1, 3, 64, 96), (3, 4)),
    'video': (UniFormer3D, {}, (1, 3, 4, 64, 96), (1, 2, 5)),
    'video, divided': (UniFormer3D, dict(attention='divided'), (1, 3, 4, 64, 96), (1, 2, 5)),
    'light image': (UniFormerLight, {}, (1, 3, 64, 96), (1, 4)),
    'light video': (UniFormerLight3D, {}, (1, 3, 4, 64, 96), (1, 2, 5)),
}


def _built(case):
    cls, options, shape, query = CASES[case]
    model = cls(arch=TINY, **options).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model, torch.randn(shape), query


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('head', [None, 1])
def test_attention_is_the_share_of_each_token(case, head):
    model, x, query = _built(case)
    values, _, _ = attention_of(model, x, 3, 0, query, head)
    assert values.ndim == x.ndim - 2 and (values >= 0).all()
    if 'light' in case or 'windows' in case:  # the class token, or the filling, has a share, too
        assert 0 < float(values.sum()) < 1
    else:
        assert float(values.sum()) == pytest.approx(1, abs=1e-5)
    if case == 'image, windows':  # the map is 4 x 6, filled up to 6 x 6: the window has 1 x 3 real tokens
        assert (values[3, 3:] > 0).all() and (values[:3] == 0).all() and (values[:, :3] == 0).all()


@pytest.mark.parametrize('case', ['image', 'video', 'light image'])
@pytest.mark.parametrize('deployed', [False, True])
def test_attention_against_the_whole_matrix(case, deployed):
    model, x, query = _built(case)
    block, inputs = model.blocks3[0], []
    handle = block.attn.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    with torch.no_grad():
        model(x)
        handle.remove()
        attn, tokens = block.attn, inputs[0]
        q, k, _ = attn.qkv(tokens).view(1, tokens.shape[1], 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
        matrix = (q @ k.transpose(-2, -1) * attn.head_dim**-0.5).softmax(-1).mean(1)[0]
    values, _, _ = attention_of(model.switch_to_deploy() if deployed else model, x, 3, 0, query)
    first = int('light' in case)
    index = int(np.ravel_multi_index(query, values.shape)) + first
    torch.testing.assert_close(values.flatten(), matrix[index, first:], rtol=1e-3, atol=1e-5)


def test_divided_attention_is_over_space_then_time():
    model, x, (t, h, w) = _built('video, divided')
    block, seen = model.blocks3[0], {}
    for name in ('attn', 't_attn'):
        getattr(block, name).register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0]}))
    values, _, _ = attention_of(model, x, 3, 0, (t, h, w), head=0)
    T, H, W = values.shape

    def matrix(attn, tokens):
        q, k, _ = attn.qkv(tokens).view(*tokens.shape[:2], 3, attn.num_heads, attn.head_dim).unbind(2)
        return (torch.einsum('bnd,bmd->bnm', q[:, :, 0], k[:, :, 0]) * attn.scale).softmax(-1)

    with torch.no_grad():
        space, time = matrix(block.attn, seen['attn']), matrix(block.t_attn, seen['t_attn'])
    for tt, hh, ww in ((0, 1, 2), (1, 2, 5), (T - 1, H - 1, W - 1)):
        expected = space[t, h * W + w, hh * W + ww] * time[hh * W + ww, t, tt]
        assert float(values[tt, hh, ww]) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize('change, text', [
    (dict(stage=2), 'stages 3 and 4'), (dict(stage=5), 'stages 1 to 4'), (dict(block=5), 'has 2 blocks'),
    (dict(query=(9, 0)), '4 x 6 tokens.* 9 0 is none'), (dict(query=(0, 0, 0)), '4 x 6 tokens'),
    (dict(query=(-1, 0)), 'is none of them'), (dict(head=2), 'has 2 heads')])
def test_attention_that_is_not_there(change, text):
    model, x, query = _built('image')
    with pytest.raises(PredictError, match=text):
        attention_of(model, x, **{**dict(stage=3, block=0, query=query, head=None), **change})


def test_shrunk_blocks_of_light_models_are_refused():
    model, x, query = _built('light image')
    with pytest.raises(PredictError, match='only its most attended'):
        attention_of(model, x, 3, 1, query)
    assert attention_of(model, x)[1:] == ((2, 3), 0)  # by default the middle, in the block that relates all


@pytest.mark.parametrize('case', ['image', 'video', 'light video'])
def test_grad_cam_against_finite_differences(case):
    """The weights of the channels are mean derivatives: moving a whole channel moves the score by them."""
    model, x, _ = _built(case)
    model, x = model.double().requires_grad_(False), x.double()
    fc = torch.nn.Linear(48, 5).double()

    def scores(x):
        maps = model(x)
        return fc((maps[-1] if isinstance(maps, tuple) else maps).flatten(2).amax(-1))

    def of(output):
        return output[0] if isinstance(output, tuple) else output

    (cam, first), label, probability = grad_cam(scores, model, x, [3, 1])
    assert label == int(scores(x)[0].argmax()) and probability == pytest.approx(float(scores(x)[0].softmax(0)[label]))
    assert cam.ndim == first.ndim == x.ndim - 2 and 0 <= float(cam.min()) <= float(cam.max()) <= 1
    kept, step, last = [], 1e-5, model.blocks3[-1]
    with torch.no_grad():
        handle = last.register_forward_hook(lambda _, __, output: kept.append(of(output)))
        scores(x)
        handle.remove()
        weight = []
        for channel in range(kept[0].shape[-1]):
            ends = []
            for sign in (1, -1):
                def move(_, __, output, sign=sign, channel=channel):
                    moved = of(output).clone()
                    moved[..., channel] += sign * step
                    return (moved, *output[1:]) if isinstance(output, tuple) else moved
                handle = last.register_forward_hook(move)
                ends.append(float(scores(x)[0, label]))
                handle.remove()
            weight.append((ends[0] - ends[1]) / (2 * step))
        expected = (kept[0][0] @ torch.tensor(weight, dtype=torch.float64)).relu()
    assert float(expected.max()) > 0, 'a map of zeros would show nothing'
    torch.testing.assert_close(cam, expected / expected.max(), rtol=1e-3, atol=1e-4)


def test_grad_cam_that_is_not_there():
    model, x, _ = _built('image')
    with pytest.raises(PredictError, match='stages 1 to 4, got 5'):
        grad_cam(lambda x: model(x)[-1].mean((2, 3)), model, x, [5])
    with pytest.raises(PredictError, match='classes 0 to 47, got 48'):
        grad_cam(lambda x: model(x)[-1].mean((2, 3)), model, x, [4], label=48)


def test_features_and_their_principal_colors():
    model, x, _ = _built('light video')
    maps = features_of(model, x, [2, 4])
    assert [tuple(each.shape) for each in maps] == [(2, 8, 12, 16), (2, 2, 3, 48)]
    features = torch.zeros(4, 6, 5)
    features[..., 2] = torch.linspace(-1, 1, 6)
    features += 1e-3 * torch.randn(4, 6, 5)
    colors = principal_colors(features)
    assert colors.shape == (4, 6, 3) and float(colors.min()) == 0 and float(colors.max()) == 1
    torch.testing.assert_close(colors[..., 0], torch.linspace(0, 1, 6).expand(4, 6), atol=0.01, rtol=0)


def test_drawing(tmp_path):
    frames = np.full((4, 32, 48, 3), 100, np.uint8)
    values = torch.zeros(2, 4, 6)
    values[1, 2, 3] = 1
    drawn = colored(frames, values, strength=1.)
    assert drawn.shape == frames.shape
    assert (drawn[:2, ..., 0] == 0).all() and drawn[2, 20, 28, 0] > 100  # red where and when it is high
    assert (painted(frames, torch.ones(2, 4, 3, 3)) == 255).all()
    assert colored(frames, torch.ones(2, 4, 3)).shape == frames.shape  # three columns, not three colours
    square = marked(frames, (1, 2, 3), (2, 4, 6))
    assert (square[:2] == 100).all() and (square[2:, 16, 24:32] == 255).all()
    save(dict(a=frames, b=drawn), tmp_path / 'a.png')
    save(dict(a=frames, b=drawn), tmp_path / 'a.gif')
    assert Image.open(tmp_path / 'a.png').size == (84 + 4 * 50 - 2, 2 * 34 - 2)
    film = Image.open(tmp_path / 'a.gif')
    assert film.size == (84 + 48, 2 * 34 - 2) and film.n_frames >= 2
    with pytest.raises(PredictError, match='.png or .gif'):
        save(dict(a=frames), tmp_path / 'a.jpg')


# ---------------------------------------------------------------------------------------------------- the commands
def _command(name, *argv):
    spec = importlib.util.spec_from_file_location(f'{name}_tool', ROOT / f'tools/visualization/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main([str(each) for each in argv])


def _refused(name, *argv) -> str:
    with pytest.raises(SystemExit) as refusal:
        _command(name, *argv)
    assert '\n' not in str(refusal.value)
    return str(refusal.value)


def _checkpoint(config, path) -> Path:
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict(), meta={}), path)
    return path


VIDEO_CONFIG = ROOT / 'configs/demo/uniformer-demo_recognition.py'
IMAGE_CONFIG = ROOT / 'configs/demo/uniformer-demo_classification.py'


@pytest.fixture
def clip(tmp_path) -> Path:
    writer = cv2.VideoWriter(str(tmp_path / 'clip.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 12, (80, 64))
    for number in range(20):
        writer.write(cv2.circle(np.zeros((64, 80, 3), np.uint8), (4 * number, 30), 10, (0, 0, 255), -1))
    writer.release()
    return tmp_path / 'clip.mp4'


@pytest.mark.parametrize('name, options, rows, said', [
    ('attention', ['--query', 1, 2, 3], 2, 'token (1, 2, 3) of (4, 4, 4) in block 1 of stage 3'),
    ('grad_cam', ['--label', 3], 5, 'class 3'),
    ('features', ['--stages', 2, 3, '--channels', 0, 5], 5, 'channels 0, 5 of stages 2, 3')])
def test_commands_on_a_video(name, options, rows, said, clip, tmp_path, capsys):
    pytest.importorskip('mmaction')
    weights = _checkpoint(VIDEO_CONFIG, tmp_path / 'video.pth')
    _command(name, VIDEO_CONFIG, weights, clip, '--out', tmp_path / 'out.png', *options)
    assert said in capsys.readouterr().out
    picture = Image.open(tmp_path / 'out.png').convert('RGB')
    assert picture.size == (84 + 8 * 130 - 2, rows * 130 - 2)
    first = np.asarray(picture)[40:80, 84:].astype(int)
    assert (first[..., 0] - first[..., 2]).max() > 150  # the ball in the input is red, not blue


@pytest.mark.parametrize('scope, config', [
    ('mmpretrain', 'classification'), ('mmdet', 'detection'), ('mmseg', 'segmentation'), ('mmpose', 'pose')])
def test_features_of_an_image(scope, config, tmp_path):
    pytest.importorskip(scope)
    config = ROOT / f'configs/demo/uniformer-demo_{config}.py'
    weights = _checkpoint(config, tmp_path / 'weights.pth')
    cv2.imwrite(str(tmp_path / 'a.png'), cv2.circle(np.zeros((96, 96, 3), np.uint8), (40, 40), 20, (0, 0, 255), -1))
    _command('features', config, weights, tmp_path / 'a.png', '--out', tmp_path / 'out.gif', '--stages', 1)
    picture = np.asarray(Image.open(tmp_path / 'out.gif').convert('RGB')).astype(int)
    first = picture[:picture.shape[0] // 2, 84:]
    assert (first[..., 0] - first[..., 2]).max() > 150  # the disk in the input is red, not blue


def test_bad_input_is_one_sentence(clip, tmp_path):
    pytest.importorskip('mmaction')
    pytest.importorskip('mmpretrain')
    video, image = (_checkpoint(config, tmp_path / f'{config.stem}.pth') for config in (VIDEO_CONFIG, IMAGE_CONFIG))
    picture, broken, out = tmp_path / 'a.png', tmp_path / 'broken.mp4', ['--out', tmp_path / 'out.png']
    cv2.imwrite(str(picture), np.zeros((64, 64, 3), np.uint8))
    broken.write_bytes(b'no video')
    assert '.png or .gif' in _refused('attention', VIDEO_CONFIG, video, clip, '--out', tmp_path / 'out.jpg')
    assert 'gone.pth' in _refused('attention', VIDEO_CONFIG, tmp_path / 'gone.pth', clip, *out)
    assert 'does not fit' in _refused('features', VIDEO_CONFIG, image, clip, *out)
    assert 'is a video, and' in _refused('features', IMAGE_CONFIG, image, clip, *out)
    assert 'is an image, and' in _refused('features', VIDEO_CONFIG, video, picture, *out)
    assert 'no file' in _refused('features', IMAGE_CONFIG, image, tmp_path / 'gone.png', *out)
    assert 'broken.mp4 can not be decoded' in _refused('features', VIDEO_CONFIG, video, broken, *out)
    assert '4 x 4 x 4 tokens' in _refused('attention', VIDEO_CONFIG, video, clip, *out, '--query', 4, 0, 0)
    assert 'classes 0 to 7' in _refused('grad_cam', VIDEO_CONFIG, video, clip, *out, '--label', 99)
    assert 'channels 0 to 15' in _refused('features', VIDEO_CONFIG, video, clip, *out, '--channels', 16)
    assert not out[1].exists()


def test_grad_cam_needs_a_classifier(tmp_path):
    pytest.importorskip('mmseg')
    config = ROOT / 'configs/demo/uniformer-demo_segmentation.py'
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((96, 96, 3), np.uint8))
    assert 'EncoderDecoder is no classifier' in _refused(
        'grad_cam', config, _checkpoint(config, tmp_path / 'w.pth'), tmp_path / 'a.png', '--out', tmp_path / 'out.png')
