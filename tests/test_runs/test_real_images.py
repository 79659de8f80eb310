"""Real images in the usual folders: shipped configs of detection and segmentation train, test and predict."""
import json
import os
import subprocess
from types import SimpleNamespace

import cv2
import pytest

from .conftest import ROOT, tool
from .real_images import write_ade, write_coco

DETECTION = 'detection/uniformer/mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco'
SEGMENTATION = 'segmentation/uniformer/uniformer-small-h14_fpn_8xb4-80k_ade20k-512x512'
IMAGES = ('000000000785', '000000040083', '000000196141', '000000197388')
#: A small model, and no weights to fetch.
MODEL = [
    'model.backbone.init_cfg=None', 'model.backbone.arch._delete_=True', 'model.backbone.arch.depths=[1,1,4,1]',
    'model.backbone.arch.embed_dims=[32,32,32,32]', 'model.backbone.arch.head_dim=16'
]
#: What else is shorter or smaller.
LESS = {
    DETECTION: [
        'model.backbone.with_cp=[0,0,0,0]', 'model.neck.in_channels=[32,32,32,32]',
        'model.train_cfg.rpn_proposal.max_per_img=32', 'model.test_cfg.rpn.max_per_img=32',
        'train_dataloader.dataset.pipeline.2.scale=(240,160)', 'val_dataloader.dataset.pipeline.1.scale=(240,160)',
        'test_dataloader.dataset.pipeline.1.scale=(240,160)', 'train_cfg.max_epochs=1',
        # An untrained detector is sure of nothing.
        'model.test_cfg.rcnn.score_thr=0.'
    ],
    SEGMENTATION: [
        'model.neck.in_channels=[32,32,32,32]', 'train_dataloader.dataset.pipeline.2.scale=(512,128)',
        'train_dataloader.dataset.pipeline.3.crop_size=(128,128)', 'model.data_preprocessor.size=(128,128)',
        'val_dataloader.dataset.pipeline.1.scale=(512,128)', 'test_dataloader.dataset.pipeline.1.scale=(512,128)',
        'train_cfg.max_iters=2', 'train_cfg.val_interval=2', 'default_hooks.checkpoint.interval=2'
    ],
}
SCORES = {DETECTION: ('coco/bbox_mAP', 'coco/segm_mAP'), SEGMENTATION: ('mIoU', )}


@pytest.fixture(scope='module')
def home(shared, tmp_path_factory):
    """The folder in which a user works: ``data/coco`` and ``data/ade`` are in it."""
    folder = tmp_path_factory.mktemp('home')
    write_coco(shared / 'data/coco', folder)
    write_ade(shared / 'data/coco', folder)
    return folder


def command(folder, name: str, *options) -> subprocess.CompletedProcess:
    arguments = tool(name, *options)
    return subprocess.run(**arguments, cwd=folder, capture_output=True, timeout=500)


def options(config: str) -> list[str]:
    loaders = [f'{phase}_dataloader.{key}' for phase in ('train', 'val', 'test')
               for key in ('num_workers=0', 'persistent_workers=False')]
    return ['--cfg-options', *MODEL, *LESS[config], *loaders]


@pytest.fixture(scope='module')
def trained(home):
    """Train a config by ``tools/train.py`` once: its file, as the run wrote it, the checkpoint, and all scores."""
    done = {}

    def train(config: str) -> SimpleNamespace:
        if config not in done:
            source = ROOT / 'configs' / f'{config}.py'
            result = command(home, 'train.py', source, *options(config))
            assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
            folder = home / 'work_dirs' / source.stem
            (checkpoint, ) = [*folder.glob('epoch_*.pth'), *folder.glob('iter_*.pth')]
            done[config] = SimpleNamespace(
                source=source, file=folder / source.name, checkpoint=checkpoint, scores=_last_scores(folder, config))
        return done[config]

    return train


def _last_scores(folder, config: str) -> list[float]:
    newest = max((*folder.glob('*/vis_data/scalars.json'), *folder.glob('*/*.json')), key=os.path.getmtime)
    records = [json.loads(line) for line in newest.read_text().splitlines()]
    (record, ) = [each for each in records if SCORES[config][0] in each]
    return [record[key] for key in SCORES[config]]


@pytest.mark.slow
@pytest.mark.parametrize('config', LESS)
def test_trains_and_tests_from_the_usual_folders(config, home, trained):
    """Every command runs and reports scores; so short a training leaves them at 0, no sign of learning."""
    run = trained(config)
    result = command(home, 'test.py', run.source, run.checkpoint, *options(config))
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    assert _last_scores(home / 'work_dirs' / run.source.stem, config) == pytest.approx(run.scores, abs=1e-6)


def test_missing_data_is_one_sentence(tmp_path):
    result = command(tmp_path, 'train.py', ROOT / 'configs' / f'{DETECTION}.py', *options(DETECTION))
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith('Not there: data/') and 'train_dataloader.dataset.' in line


def _check_pictures(folder, home) -> None:
    """A picture of the size of each image, and not the image itself."""
    for name in IMAGES:
        (picture, ) = folder.rglob(f'{name}*')
        drawn, image = cv2.imread(str(picture)), cv2.imread(str(home / f'data/coco/val2017/{name}.jpg'))
        assert drawn.shape == image.shape
        assert abs(drawn.astype(float) - image).max() > 60


@pytest.mark.slow
def test_detector_draws(trained, home, tmp_path):
    from mmdet.apis import DetInferencer
    run = trained(DETECTION)
    inferencer = DetInferencer(str(run.file), str(run.checkpoint), device='cpu')
    result = inferencer(str(home / 'data/coco/val2017'), out_dir=str(tmp_path), pred_score_thr=0., no_save_pred=False)
    assert len(result['predictions']) == 4 and all('masks' in each for each in result['predictions'])
    _check_pictures(tmp_path / 'vis', home)


@pytest.mark.slow
def test_segmentor_draws(trained, home, tmp_path):
    from mmseg.apis import MMSegInferencer
    run = trained(SEGMENTATION)
    inferencer = MMSegInferencer(str(run.file), str(run.checkpoint), device='cpu')
    images = [str(home / f'data/coco/val2017/{name}.jpg') for name in IMAGES]
    result = inferencer(images, out_dir=str(tmp_path))
    assert [each.shape for each in result['predictions']] == [cv2.imread(image).shape[:2] for image in images]
    _check_pictures(tmp_path / 'vis', home)
