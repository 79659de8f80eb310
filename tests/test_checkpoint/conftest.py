"""Small networks, and files of them in the layouts that are found in the wild."""
import http.server
import re
import threading

import pytest
import torch

from mmuniformer.models import UniFormer, UniFormer3D
from mmuniformer.models.backbones.arch import resolve

ARCH = dict(depths=(1, 2, 2, 1), embed_dims=(8, 16, 16, 24), head_dim=8)


def image_backbone(**kwargs):
    return UniFormer(**{**dict(arch=ARCH, out_norm='BN', out_indices=(3, )), **kwargs})


def video_backbone(**kwargs):
    return UniFormer3D(**{**dict(arch=ARCH), **kwargs})


def randomized(model):
    """With weights that no initialisation gives, batch statistics too; in float32."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5) if 'running_var' in name else tensor.normal_(0, 0.1)
    return model


def weights(model, prefix='', **heads):
    """State dict of a randomized copy, as a file would hold it, with tensors of heads beside it."""
    state = {prefix + name: tensor.clone() for name, tensor in randomized(model).state_dict().items()}
    return {**state, **{name.replace('__', '.'): tensor for name, tensor in heads.items()}}


def classifier(model, classes=5):
    """An official classifier's state dict: that of a backbone, and a head."""
    return weights(model, head__weight=torch.randn(classes, 24), head__bias=torch.randn(classes))


def full_size(arch, cls=UniFormer):
    """State dict of a network of real size, in a few bytes: tensors of the right shapes that hold one number each."""
    arch = resolve(arch, light=cls.light)
    shallow = cls(arch.with_(depths=(1, 1, 1, 1), keep_ratios=None), out_norm='BN', out_indices=(3, )).state_dict()
    state = {}
    for name, tensor in shallow.items():
        stage = re.match(r'blocks(\d)\.0\.', name)
        for index in range(arch.depths[int(stage[1]) - 1] if stage else 1):
            state[name.replace('.0.', f'.{index}.', 1) if stage else name] = torch.ones(()).expand(tensor.shape)
    return state


def same(state, expected):
    return state.keys() == expected.keys() and all(torch.equal(state[name], expected[name]) for name in expected)


@pytest.fixture(scope='session')
def small():
    """A model to refuse weights; it is not to be changed."""
    return UniFormer('small', out_norm='BN', out_indices=(3, ))


@pytest.fixture
def save(tmp_path):

    def write(content, name='weights.pth'):
        path = tmp_path / name
        torch.save(content, path)
        return path

    return write


@pytest.fixture
def serve():
    """A web server on this machine: give it files, get its address. `requests` lists the paths asked for."""
    files, headers, requests = {}, {}, []

    class Handler(http.server.BaseHTTPRequestHandler):

        def do_HEAD(self):
            self.do_GET(body=False)

        def do_GET(self, body=True):
            requests.append(self.path)
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            content = content or b'not here'
            self.send_header('Content-Length', str(len(content)))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs=dict(poll_interval=0.02), daemon=True)
    thread.start()

    def start(**new):
        files.update({f'/{path}': content for path, content in new.pop('files').items()})
        headers.update(new.pop('headers', {}))
        return f'http://127.0.0.1:{server.server_address[1]}'

    start.files, start.requests = files, requests
    yield start
    server.shutdown()
    server.server_close()
    thread.join()
