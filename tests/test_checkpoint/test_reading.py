"""Files that are none, files that are not what they seem, and files from elsewhere."""
import argparse
import hashlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmuniformer.checkpoint import CheckpointError, load
from mmuniformer.checkpoint.reading import read

from .conftest import classifier, image_backbone, same

LFS = b'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 86215337\n'
DRIVE = b'<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head></html>'


class Attack:
    """Unpickling this calls a function, here one that makes a file."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace), )


class OwnClass:
    """Somebody's class that went into a file."""


def _zip(names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        for name in names:
            archive.writestr(name, b'1')
    return buffer.getvalue()


def _bytes(content, **kwargs):
    buffer = io.BytesIO()
    torch.save(content, buffer, **kwargs)
    return buffer.getvalue()


WRONG = {
    'empty': (b'', 'is empty: fetch it again'),
    'Git LFS pointer': (LFS, 'is a Git LFS pointer.*git lfs pull'),
    'web page': (b'\n  <html><body>404</body></html>', r'is a web page saved under the name of a checkpoint: open'),
    "Google Drive's warning": (DRIVE, 'warning of Google Drive before large files'),
    'cut off': (_bytes({'model': torch.ones(1000)})[:2000], 'is cut off: fetch it again'),
    'cut off, old format': (_bytes({'model': torch.ones(1000)}, _use_new_zipfile_serialization=False)[:2000],
                            'can not be read as weights'),
    'zip of something else': (_zip(['folder/weights.pth']), 'zip archive but no checkpoint of PyTorch: unpack it'),
    'text': (b'these are not the weights you are looking for', 'can not be read as weights'),
    'image': (b'\x89PNG\r\n\x1a\n' + bytes(100), 'can not be read as weights'),
    'zeros': (bytes(100000), 'can not be read as weights'),
}


@pytest.mark.parametrize('name', WRONG)
def test_wrong_file(tmp_path, name):
    content, message = WRONG[name]
    path = tmp_path / 'uniformer.pth'
    path.write_bytes(content)
    model = image_backbone()
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=message) as caught:
        load(model, path)
    assert str(path) in str(caught.value)
    assert same(model.state_dict(), before)


def test_no_file(tmp_path):
    with pytest.raises(CheckpointError, match='nothing.pth: no such file$'):
        load(image_backbone(), tmp_path / 'nothing.pth')
    with pytest.raises(CheckpointError, match='no such file; this published file is at '
                       'hf://Sense-X/uniformer_image/uniformer_small_in1k.pth'):
        load(image_backbone(), str(tmp_path / 'uniformer_small_in1k.pth'))
    with pytest.raises(CheckpointError, match='drive.google.com/file/d/16wjfeyqQFZ2x9W91EXf0Py1bfv4Fydfr'):
        load(image_backbone(), tmp_path / 'uniformer_small_tl_224.pth')


def test_folder(tmp_path, save):
    save({}, 'epoch_100.pth')
    with pytest.raises(CheckpointError, match='is a folder: name a file in it, such as epoch_100.pth'):
        load(image_backbone(), tmp_path)


@pytest.mark.filterwarnings('ignore:`torch.jit')
def test_torchscript(tmp_path):
    path = tmp_path / 'scripted.pt'
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    with pytest.raises(CheckpointError, match=r'is a TorchScript program, not weights: save the `state_dict\(\)`'):
        load(image_backbone(), path)


@pytest.mark.parametrize('to_bytes, unsafe', [
    (_bytes, lambda path: torch.load(path, weights_only=False)),
    (lambda content: _bytes(content, _use_new_zipfile_serialization=False),
     lambda path: torch.load(path, weights_only=False)),
    (pickle.dumps, lambda path: pickle.loads(path.read_bytes())),
    (lambda content: pickle.dumps(content, protocol=2), lambda path: pickle.loads(path.read_bytes())),
], ids=['torch', 'torch, old format', 'pickle', 'pickle 2'])
@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_code_in_the_file_does_not_run(tmp_path, to_bytes, unsafe):
    trace, path = tmp_path / 'it-ran', tmp_path / 'weights.pth'
    path.write_bytes(to_bytes({'model': classifier(image_backbone()), 'extra': Attack(trace)}))
    with pytest.raises(CheckpointError, match='holds more than weights|can not be read as weights'):
        load(image_backbone(), path)
    assert not trace.exists()
    unsafe(path)  # it is a real attack
    assert trace.exists()


def test_says_what_code_it_was(save, tmp_path):
    with pytest.raises(CheckpointError, match=r'reading it would call `(posix|nt).mkdir`. Nothing was executed'):
        load(image_backbone(), save({'model': classifier(image_backbone()), 'x': Attack(tmp_path / 'ran')}))
    with pytest.raises(CheckpointError, match=r'OwnClass`. Nothing was executed. If you made this file, save its '):
        load(image_backbone(), save({'model': OwnClass()}))


def test_leaves_the_allow_list_as_it_was(save):
    """Others need it: MMEngine could not resume without its log history."""
    before = set(torch.serialization.get_safe_globals())
    assert HistoryBuffer in before
    read(save({'args': argparse.Namespace(lr=1)}))
    assert set(torch.serialization.get_safe_globals()) == before
    with torch.serialization.safe_globals([argparse.Namespace]):  # allowed by the user, too
        read(save({'args': argparse.Namespace(lr=1)}))
        assert argparse.Namespace in torch.serialization.get_safe_globals()


def test_home_and_unknown_scheme(save, tmp_path, monkeypatch):
    path = save(classifier(image_backbone()))
    monkeypatch.setenv('HOME', str(tmp_path))
    assert load(image_backbone(), f'~/{path.name}').source == f'~/{path.name}'
    with pytest.raises(CheckpointError, match=r's3://bucket/a.pth: weights can be a file, an http\(s\):// URL or hf://'):
        load(image_backbone(), 's3://bucket/a.pth')


# ---- the web


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    return tmp_path / 'torch' / 'hub' / 'checkpoints'


def test_url(serve, cache):
    state = classifier(image_backbone())
    address = serve(files={'models/my%20weights.pth': _bytes(state)})
    url = f'{address}/models/my%20weights.pth'
    model = image_backbone()
    report = load(model, url)
    assert report.source == url
    assert torch.equal(model.state_dict()['norm.weight'], state['norm.weight'])
    assert (cache / 'my weights.pth').is_file()
    asked = len(serve.requests)
    load(model, url)
    assert len(serve.requests) == asked  # from the cache


def test_bad_download_is_not_kept(serve, cache):
    address = serve(files={'a.pth': DRIVE})
    with pytest.raises(CheckpointError, match='web page'):
        load(image_backbone(), f'{address}/a.pth')
    assert not list(cache.iterdir())
    serve(files={'a.pth': _bytes(classifier(image_backbone()))})
    load(image_backbone(), f'{address}/a.pth')


def test_url_of_nothing(serve, cache):
    address = serve(files={})
    with pytest.raises(CheckpointError, match=r'/gone.pth: could not be downloaded \(.*404'):
        load(image_backbone(), f'{address}/gone.pth')
    with pytest.raises(CheckpointError, match='the URL names no file'):
        load(image_backbone(), f'{address}/')
    with pytest.raises(CheckpointError, match='could not be downloaded'):
        load(image_backbone(), 'http://127.0.0.1:9/closed.pth')


def test_published_download_is_verified(serve, cache):
    name = 'uniformer_small_in1k_20221219-fe0a7ae0.pth'
    address = serve(files={name: _bytes(classifier(image_backbone()))})
    with pytest.raises(CheckpointError, match=r'could not be downloaded \(invalid hash value \(expected "fe0a7ae0"'):
        load(image_backbone(), f'{address}/{name}')
    assert not (cache / name).exists()


# ---- the Hugging Face Hub, by its own client against a server of this machine

SCRIPT = """
import sys
from mmuniformer.checkpoint.reading import read
content, path = read(sys.argv[1])
print(path.name, sorted(content)[:1])
"""


def _hub(address, home, source, script=SCRIPT):
    env = {**os.environ, 'HF_ENDPOINT': address, 'HF_HOME': str(home), 'HF_HUB_DISABLE_TELEMETRY': '1',
           'HF_HUB_DOWNLOAD_TIMEOUT': '5',
           'PYTHONPATH': str(Path(__file__).resolve().parents[2])}
    env.pop('HF_HUB_OFFLINE', None)
    return subprocess.run([sys.executable, '-c', script, source], env=env, capture_output=True, text=True, timeout=120)


def test_hub(serve, tmp_path):
    content = _bytes(classifier(image_backbone()))
    address = serve(
        files={'someone/uniformer/resolve/main/nested/small.pth': content},
        headers={'ETag': f'"{hashlib.sha256(content).hexdigest()}"', 'X-Repo-Commit': '0' * 40})
    done = _hub(address, tmp_path / 'hf', 'hf://someone/uniformer/nested/small.pth')
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "small.pth ['blocks1.0.attn.bias']"
    assert any('/someone/uniformer/resolve/main/nested/small.pth' == path for path in serve.requests)


def test_hub_has_no_such_file(serve, tmp_path):
    done = _hub(serve(files={}), tmp_path / 'hf', 'hf://someone/uniformer/gone.pth')
    assert done.returncode != 0
    assert ('CheckpointError: hf://someone/uniformer/gone.pth: could not be fetched from the Hugging Face Hub'
            in done.stderr)


def test_hub_without_its_client(tmp_path):
    script = "import sys\nsys.modules['huggingface_hub'] = None  # as if it were not installed\n" + SCRIPT
    done = _hub('http://127.0.0.1:9', tmp_path, 'hf://someone/uniformer/a.pth', script)
    assert 'needs huggingface_hub, run `pip install huggingface_hub`' in done.stderr


@pytest.mark.parametrize('source', ['hf://small.pth', 'hf://someone/uniformer', 'hf://', 'hf://someone/uniformer/'])
def test_hub_needs_three_parts(source):
    with pytest.raises(CheckpointError, match='expected hf://owner/repository/path/of/file.pth'):
        load(image_backbone(), source)
