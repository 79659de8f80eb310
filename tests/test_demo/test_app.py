"""The web page in a headless Chromium: real uploads, real predictions, bad files, and no word to the outside."""
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import cv2
import numpy as np
import pytest

from mmuniformer.datasets.generated.motion import write_video

from ..test_apis.models import CLASSES, FPS, LEVELS, classifier, flicker, recognizer

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ('chromium', 'chromium-browser', 'google-chrome'))), None)
FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
         '--disable-component-update', '--disable-sync']
PATIENCE = 60_000  # milliseconds for what takes one or two


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """Of the running page, with a video model and an image model."""
    if CHROMIUM is None:
        pytest.skip('needs Chromium (apt-get install chromium)')
    pytest.importorskip('gradio')
    pytest.importorskip('playwright')
    models = tmp_path_factory.mktemp('models')
    for name, make in (('recognition', recognizer), ('classification', classifier)):
        folder = models / name
        folder.mkdir()
        config, checkpoint = make(folder)
        (folder / 'last_checkpoint').write_text(str(checkpoint.rename(folder / checkpoint.name)))
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', NO_PROXY='127.0.0.1,localhost')
    log = (models / 'log.txt').open('w+')
    server = subprocess.Popen([sys.executable, str(ROOT / 'demo' / 'app.py'), '--models', str(models), '--port',
                               str(port), '--device', 'cpu'], env=env, stdout=log, stderr=subprocess.STDOUT)
    address = f'http://127.0.0.1:{port}/'
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                opener.open(address, timeout=5).close()
                break
            except OSError:
                log.seek(0)
                assert server.poll() is None and time.monotonic() < deadline, log.read()
                time.sleep(0.2)
        yield address
    finally:
        server.terminate()
        server.wait(30)
        log.close()


@pytest.fixture
def page(address, tmp_path):
    """The page in a new browser. At the end: nothing was asked of any other address, and no error was thrown."""
    from playwright.sync_api import sync_playwright
    asked, errors = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch_persistent_context(
            str(tmp_path / 'profile'), executable_path=CHROMIUM, headless=True, args=FLAGS,
            viewport=dict(width=1280, height=860))
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.on('request', lambda request: asked.append(request.url))
        page.on('pageerror', lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector('#go')
        yield page
        browser.close()
    assert asked and not errors
    outside = {url for url in asked if urlparse(url).scheme in ('http', 'https', 'ws', 'wss')
               and urlparse(url).hostname != '127.0.0.1'}
    assert not outside


def test_models_to_choose_from(tmp_path):
    """A demo's last checkpoint, the best of a run of finetune.py by its name, and nothing without a checkpoint."""
    pytest.importorskip('gradio')
    from app import find_models
    for folder, files in {'demo': ['epoch_13.pth', 'epoch_14.pth'], 'half': [],
                          'mine/train': ['epoch_14.pth', 'best_acc_top1_epoch_2.pth']}.items():
        (tmp_path / folder).mkdir(parents=True)
        for name in ('config.py', *files):
            (tmp_path / folder / name).touch()
        (tmp_path / folder / 'last_checkpoint').write_text('/where/it/was/trained/epoch_14.pth')
    expected = {'demo': ('demo', 'epoch_14.pth'), 'mine': ('mine/train', 'best_acc_top1_epoch_2.pth')}
    expected = {name: (str(tmp_path / folder / 'config.py'), str(tmp_path / folder / file))
                for name, (folder, file) in expected.items()}
    assert find_models(tmp_path) == expected
    assert find_models(tmp_path / 'mine') == {'mine': expected['mine']}


def _choose(page, model):
    page.locator('#model input').click()
    page.get_by_role('option', name=model, exact=True).click()


def _predict(page, path, said):
    """Upload a file and wait until the page says something."""
    if page.locator('#file button[aria-label*="lear"]').count():
        page.locator('#file button[aria-label*="lear"]').first.click()
    page.locator('#file input[type=file]').set_input_files(str(path))
    page.locator('#file').get_by_text(re.compile(Path(path).stem)).first.wait_for()
    page.locator('#go').click()
    page.locator('#text').get_by_text(re.compile(said)).first.wait_for()


def test_upload_a_video(page, tmp_path):
    rng = np.random.default_rng(5)
    frames = np.concatenate([flicker(rng, level, 20) for level in LEVELS])
    write_video(tmp_path / 'halves.mp4', frames, FPS)
    _choose(page, 'recognition')
    page.locator('#window input').fill('1')
    _predict(page, tmp_path / 'halves.mp4', 'halves.mp4: recognition')
    page.locator('#timeline img').wait_for()
    for name in CLASSES:
        page.locator('#table').get_by_text(name).first.wait_for()
    # The browser can play it: it knows how long it is.
    page.wait_for_function("() => document.querySelector('#video video')?.duration > 3")
    page.wait_for_function("() => document.querySelector('#timeline img')?.naturalWidth === 1100")
    page.screenshot(path=str(tmp_path / 'page.png'))
    assert cv2.imread(str(tmp_path / 'page.png')).std() > 10


def test_upload_images_good_and_bad(page, tmp_path):
    rng = np.random.default_rng(5)
    cv2.imwrite(str(tmp_path / 'night.png'), flicker(rng, LEVELS[0], 1)[0])
    (tmp_path / 'broken.png').write_bytes((tmp_path / 'night.png').read_bytes()[:50])
    _choose(page, 'classification')
    page.locator('#go').click()
    page.locator('#text').get_by_text('Drop a file first').wait_for()
    _predict(page, tmp_path / 'night.png', 'night.png: classification')
    page.wait_for_function("() => document.querySelector('#image img')?.naturalWidth >= 320")
    page.locator('#table').get_by_text('dark').first.wait_for()
    assert float(re.search(r'dark\s+([\d.]+)', page.locator('#table').inner_text())[1]) > 0.8
    _predict(page, tmp_path / 'broken.png', 'broken.png can not be decoded')
    assert page.locator('#image img').count() == 0
    _choose(page, 'a config and a checkpoint')
    page.locator('#config textarea, #config input').first.fill('uniformer-demo_recogntion')
    page.locator('#checkpoint textarea, #checkpoint input').first.fill('x.pth')
    page.locator('#go').click()
    page.locator('#text').get_by_text('did you mean uniformer-demo_recognition').wait_for()


def test_sample(page):
    _choose(page, 'classification')
    page.locator('#take').click()
    page.locator('#text').get_by_text(re.compile('png: classification')).wait_for()
    for name in CLASSES:
        page.locator('#table').get_by_text(name).first.wait_for()
