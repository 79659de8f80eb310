"""Attention, Grad-CAM and feature maps against a direct computation, and the commands that draw them."""
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from mmuniformer.visualization import attention_of, colored, grad_cam, marked, painted, principal_colors, save

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


def built(case):
    cls, options, shape, query = CASES[case]
    model = cls(arch=TINY, **options).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model, torch.randn(shape), query


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('head', [None, 1])
def test_attention_is_the_share_of_each_token(case, head):
    model, x, query = built(case)
    values = attention_of(model, x, 3, 0, query, head)
    assert values.ndim == x.ndim - 2 and (values >= 0).all()
    if 'light' in case or 'windows' in case:  # the class token, or the filling, has a share, too
        assert 0 < float(values.sum()) < 1
    else:
        assert float(values.sum()) == pytest.approx(1, abs=1e-5)
    if case == 'image, windows':  # the map is 4 x 6, filled up to 6 x 6: the window has 1 x 3 real tokens
        assert (values[3, 3:] > 0).all() and (values[:3] == 0).all() and (values[:, :3] == 0).all()


@pytest.mark.parametrize('case', ['image', 'video', 'light image'])
def test_attention_against_the_whole_matrix(case):
    model, x, query = built(case)
    block, inputs = model.blocks3[0], []
    handle = block.attn.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    values = attention_of(model, x, 3, 0, query)
    handle.remove()
    attn, tokens = block.attn, inputs[0]
    q, k, _ = attn.qkv(tokens).view(1, tokens.shape[1], 3, attn.num_heads, attn.head_dim).permute(2, 0, 3, 1, 4)
    matrix = (q @ k.transpose(-2, -1) * attn.head_dim**-0.5).softmax(-1).mean(1)[0]
    first = int('light' in case)
    index = int(np.ravel_multi_index(query, values.shape)) + first
    torch.testing.assert_close(values.flatten(), matrix[index, first:])


def test_divided_attention_is_what_reaches_the_query():
    """Against the derivative of the block's two attentions, with projections that change nothing."""
    model, x, (t, h, w) = built('video, divided')
    block, seen = model.blocks3[0], {}
    for name in ('attn', 't_attn'):
        getattr(block, name).register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0]}))
    values = attention_of(model, x, 3, 0, (t, h, w), head=0)
    T, H, W = values.shape

    def matrix(attn, tokens):
        q, k, _ = attn.qkv(tokens).view(*tokens.shape[:2], 3, attn.num_heads, attn.head_dim).unbind(2)
        return (torch.einsum('bnd,bmd->bnm', q[:, :, 0], k[:, :, 0]) * attn.scale).softmax(-1)
    space, time = matrix(block.attn, seen['attn']), matrix(block.t_attn, seen['t_attn'])
    for tt, hh, ww in ((0, 1, 2), (1, 2, 5), (T - 1, H - 1, W - 1)):
        expected = space[t, h * W + w, hh * W + ww] * time[hh * W + ww, t, tt]
        assert float(values[tt, hh, ww]) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize('change, text', [
    (dict(stage=2), 'stage must be 3 or 4'), (dict(block=5), 'has 2 blocks'), (dict(query=(9, 0)), 'tokens'),
    (dict(query=(0, 0, 0)), 'tokens'), (dict(head=2), 'has 2 heads')])
def test_bad_attention(change, text):
    model, x, query = built('image')
    with pytest.raises(ValueError, match=text):
        attention_of(model, x, **{**dict(stage=3, block=0, query=query, head=None), **change})


def test_shrunk_blocks_of_light_models_are_refused():
    model, x, query = built('light image')
    with pytest.raises(ValueError, match='only the most attended'):
        attention_of(model, x, 3, 1, query)


@pytest.mark.parametrize('case', ['image', 'video', 'light video'])
def test_grad_cam_against_finite_differences(case):
    """The weights of the channels are derivatives: moving a channel moves the score by them."""
    model, x, _ = built(case)
    fc = torch.nn.Linear(48, 5)

    def scores(x):
        maps = model(x)
        maps = maps[-1] if isinstance(maps, tuple) else maps
        return fc(maps.flatten(2).amax(-1))

    (cam, *_), label, probability = grad_cam(scores, model, x, [3, 1])
    assert label == int(scores(x)[0].argmax()) and probability == pytest.approx(float(scores(x)[0].softmax(0)[label]))
    assert cam.ndim == x.ndim - 2 and float(cam.max()) in (0., 1.) and float(cam.min()) >= 0
    kept, step = [], 1e-2
    model.double(), fc.double()
    last = model.blocks3[-1]

    def of(output):
        return output[0] if isinstance(output, tuple) else output
    handle = last.register_forward_hook(lambda _, __, output: kept.append(of(output)))
    with torch.no_grad():
        scores(x.double())
        handle.remove()
        weight = []
        for channel in range(kept[0].shape[-1]):
            ends = []
            for sign in (1, -1):
                def move(_, __, output, sign=sign, channel=channel):
                    moved = of(output).clone()
                    moved[..., channel] += sign * step * 1e-4
                    return (moved, *output[1:]) if isinstance(output, tuple) else moved
                handle = last.register_forward_hook(move)
                ends.append(float(scores(x.double())[0, label]))
                handle.remove()
            weight.append((ends[0] - ends[1]) / (2e-4 * step))
        expected = (kept[0][0] @ torch.tensor(weight, dtype=torch.float64)).relu()
    torch.testing.assert_close(cam.double(), expected / expected.max().clamp_min(1e-300), rtol=1e-2, atol=1e-3)


def test_bad_grad_cam():
    model, x, _ = built('image')
    with pytest.raises(ValueError, match='no stage 5'):
        grad_cam(lambda x: model(x)[-1].mean((2, 3)), model, x, [5])
    with pytest.raises(ValueError, match='classes 0 to 47'):
        grad_cam(lambda x: model(x)[-1].mean((2, 3)), model, x, [4], label=48)


def test_principal_colors_find_the_direction():
    features = torch.zeros(5, 4, 6)
    features[2] = torch.linspace(-1, 1, 6)
    features += 1e-3 * torch.randn(5, 4, 6)
    colors = principal_colors(features)
    assert colors.shape == (4, 6, 3) and float(colors.min()) == 0 and float(colors.max()) == 1
    torch.testing.assert_close(colors[..., 0], torch.linspace(0, 1, 6).expand(4, 6), atol=0.01, rtol=0)


def test_drawing(tmp_path):
    frames = np.full((4, 32, 48, 3), 100, np.uint8)
    values = torch.zeros(2, 4, 6)
    values[1, 2, 3] = 1
    drawn = colored(frames, values, strength=1.)
    assert drawn.shape == frames.shape
    assert (painted(frames, torch.ones(2, 4, 3, 3)) == 255).all()
    assert colored(frames, torch.ones(2, 4, 3)).shape == frames.shape  # three columns, not three colours
    assert (drawn[:2, ..., 0] == 0).all() and drawn[2, 20, 28, 0] > 100  # red where and when it is high
    square = marked(frames, (1, 2, 3), (2, 4, 6))
    assert (square[:2] == 100).all() and (square[2:, 16, 24:32] == 255).all()
    save([frames, drawn], tmp_path / 'a.png')
    assert Image.open(tmp_path / 'a.png').size == (4 * 50 - 2, 2 * 34 - 2)
    save([frames, drawn], tmp_path / 'a.gif')
    film = Image.open(tmp_path / 'a.gif')
    assert film.size == (48, 66) and film.n_frames >= 2
    with pytest.raises(ValueError, match='png or'):
        save([frames], tmp_path / 'a.jpg')


@pytest.fixture(scope='module')
def video(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('video') / 'clip.mp4'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 12, (80, 64))
    for number in range(20):
        frame = np.zeros((64, 80, 3), np.uint8)
        writer.write(cv2.circle(frame, (4 * number, 30), 10, (0, 0, 255), -1))
    writer.release()
    return path


def command(name, *options) -> subprocess.CompletedProcess:
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    return subprocess.run([sys.executable, str(ROOT / f'tools/visualization/{name}.py'), *map(str, options)], env=env,
                          text=True, capture_output=True, timeout=200)


CONFIG = ROOT / 'configs/demo/uniformer-demo_recognition.py'


@pytest.mark.parametrize('name, options, rows', [
    ('attention', ['--query', 0.5, 0.5, 0.5], 2), ('grad_cam', ['--label', 3], 5), ('features', ['--stages', 2, 3], 3)])
def test_commands_on_a_video(name, options, rows, video, tmp_path):
    result = command(name, CONFIG, 'none', video, '--out', tmp_path / 'out.png', *options)
    assert result.returncode == 0, result.stderr
    assert str(tmp_path / 'out.png') in result.stdout
    picture = Image.open(tmp_path / 'out.png').convert('RGB')
    assert picture.size == (8 * 66 - 2, rows * 66 - 2)
    pixels = np.asarray(picture)
    assert pixels[:64, :, 0].max() > 200 and pixels[:64, :, 2].mean() < 60 or name == 'attention'  # the ball is red


@pytest.mark.parametrize('name, options, text', [
    ('attention', ['--out', 'a.jpg'], '.png or .gif'),
    ('attention', ['--out', 'a.png', '--query', 0.5, 0.5], '--query takes 3 numbers'),
    ('grad_cam', ['--out', 'a.png', '--label', 99], 'classes 0 to 7')])
def test_bad_options_are_one_line(name, options, text, video, tmp_path):
    result = command(name, CONFIG, 'none', video, *options)
    assert result.returncode != 0 and text in result.stderr and 'Traceback' not in result.stderr


def test_a_file_that_is_no_video_is_one_line(tmp_path):
    (tmp_path / 'a.mp4').write_bytes(b'no video')
    result = command('features', CONFIG, 'none', tmp_path / 'a.mp4', '--out', tmp_path / 'a.png')
    assert result.returncode != 0 and 'a.mp4' in result.stderr and 'Traceback' not in result.stderr
