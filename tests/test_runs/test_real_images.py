"""Real images in the usual folders: detector, segmentor and pose model learn them, test, and draw what they see.

The configs trained here (``real_images_configs/``) are shipped ones with a small network, small images and few steps.
Data sets, heads, losses, tests and metrics are those of the recipes.
"""
import json
import os
import subprocess
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from torchvision.ops import box_iou

from .conftest import ROOT, tool
from .real_images import write_ade, write_coco

CONFIGS = ROOT / 'tests/test_runs/real_images_configs'
IMAGES = ('000000000785', '000000040083', '000000196141', '000000197388')
#: What a model reaches at least that has learned four images by heart.
FLOORS = {
    'detection': {'coco/bbox_mAP_50': 0.9, 'coco/segm_mAP_50': 0.9},
    'segmentation': {'mIoU': 80.},
    'pose': {'coco/AP .5': 0.9},
}


@pytest.fixture(scope='module')
def home(shared, tmp_path_factory):
    """The folder in which a user works: ``data/coco`` and ``data/ade`` are in it."""
    folder = tmp_path_factory.mktemp('home')
    write_coco(shared / 'data/coco', folder)
    write_ade(shared / 'data/coco', folder)
    return folder


def command(folder, name: str, *options) -> subprocess.CompletedProcess:
    return subprocess.run(**tool(name, *options), cwd=folder, capture_output=True, timeout=1200)


@pytest.fixture(scope='module')
def trained(home):
    """Train a config by ``tools/train.py`` once: its file, as the run wrote it, the checkpoint, and the last scores."""
    done = {}

    def train(task: str) -> SimpleNamespace:
        if task not in done:
            result = command(home, 'train.py', CONFIGS / f'{task}.py')
            assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
            folder = home / 'work_dirs' / task
            (checkpoint, ) = [*folder.glob('epoch_*.pth'), *folder.glob('iter_*.pth')]
            done[task] = SimpleNamespace(
                folder=folder, file=folder / f'{task}.py', checkpoint=checkpoint, scores=_last_scores(folder, task))
        return done[task]

    return train


def _last_scores(folder, task: str) -> dict[str, float]:
    newest = max((*folder.glob('*/vis_data/scalars.json'), *folder.glob('*/*.json')), key=os.path.getmtime)
    records = [json.loads(line) for line in newest.read_text().splitlines()]
    record = [each for each in records if FLOORS[task].keys() <= each.keys()][-1]
    return {key: record[key] for key in FLOORS[task]}


@pytest.mark.slow
@pytest.mark.parametrize('task', FLOORS)
def test_learns_and_tests_from_the_usual_folders(task, home, trained):
    run = trained(task)
    for name, floor in FLOORS[task].items():
        assert run.scores[name] >= floor, f'{name} is {run.scores[name]}'
    result = command(home, 'test.py', CONFIGS / f'{task}.py', run.checkpoint)
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    assert _last_scores(run.folder, task) == pytest.approx(run.scores, abs=1e-6)


@pytest.mark.parametrize('config', [
    'detection/uniformer/mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco',
    'segmentation/uniformer/uniformer-small-h14_fpn_8xb4-80k_ade20k-512x512',
    'pose/uniformer/td-hm_uniformer-small_8xb128-210e_coco-256x192',
])
def test_missing_data_is_one_sentence(config, tmp_path):
    result = command(tmp_path, 'train.py', ROOT / 'configs' / f'{config}.py')
    assert result.returncode == 1 and 'Traceback' not in result.stderr
    line = result.stderr.strip().splitlines()[-1]
    assert line.startswith('Not there: data/') and '(train_dataloader.dataset.' in line


def _check_pictures(folder, home) -> None:
    """A picture of the size of each image, and not the image itself."""
    for name in IMAGES:
        (picture, ) = folder.rglob(f'{name}*')
        drawn, image = cv2.imread(str(picture)), cv2.imread(str(home / f'data/coco/val2017/{name}.jpg'))
        assert drawn.shape == image.shape
        assert (np.abs(drawn.astype(float) - image).max(-1) > 60).mean() > 0.001


def _persons(home) -> dict[str, list[dict]]:
    """The annotations of each image, by its name without the ending."""
    coco = COCO(home / 'data/coco/annotations/person_keypoints_val2017.json')
    return {image['file_name'][:-4]: coco.imgToAnns[image['id']] for image in coco.dataset['images']}


@pytest.mark.slow
def test_detector_draws(trained, home, tmp_path):
    from mmdet.apis import DetInferencer
    run = trained('detection')
    inferencer = DetInferencer(str(run.file), str(run.checkpoint), device='cpu')
    images = [str(home / f'data/coco/val2017/{name}.jpg') for name in IMAGES]
    result = inferencer(images, out_dir=str(tmp_path), pred_score_thr=0.5, no_save_pred=False)
    seen = total = 0
    for name, found in zip(IMAGES, result['predictions'], strict=True):
        assert len(found['masks']) == len(found['labels'])
        sure = [box for box, label, score in zip(found['bboxes'], found['labels'], found['scores'])
                if label == 0 and score > 0.5]
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (person['bbox'] for person in _persons(home)[name])]
        overlaps = box_iou(torch.tensor(boxes), torch.tensor(sure).reshape(-1, 4))
        seen += int((overlaps.amax(1) > 0.5).sum())
        total += len(boxes)
    assert seen >= 0.9 * total
    _check_pictures(tmp_path / 'vis', home)


@pytest.mark.slow
def test_segmentor_draws(trained, home, tmp_path):
    from mmseg.apis import MMSegInferencer
    run = trained('segmentation')
    inferencer = MMSegInferencer(str(run.file), str(run.checkpoint), device='cpu')
    images = [str(home / f'data/coco/val2017/{name}.jpg') for name in IMAGES]
    result = inferencer(images, out_dir=str(tmp_path))
    for name, found in zip(IMAGES, result['predictions'], strict=True):
        labels = cv2.imread(str(home / f'data/ade/ADEChallengeData2016/annotations/validation/{name}.png'), 0)
        assert found.shape == labels.shape and (found + 1 == labels).mean() > 0.9  # label 0 of the file is no class
    _check_pictures(tmp_path / 'vis', home)


@pytest.mark.slow
def test_pose_in_the_boxes_of_the_detector_draws(trained, home, tmp_path):
    from mmpose.apis import MMPoseInferencer
    pose, detector = trained('pose'), trained('detection')
    inferencer = MMPoseInferencer(
        pose2d=str(pose.file), pose2d_weights=str(pose.checkpoint), device='cpu',
        det_model=str(detector.file), det_weights=str(detector.checkpoint), det_cat_ids=0)
    results = list(inferencer(str(home / 'data/coco/val2017'), out_dir=str(tmp_path)))
    assert len(results) == len(IMAGES)
    _check_pictures(tmp_path / 'visualizations', home)
    found = {name: json.loads((tmp_path / f'predictions/{name}.json').read_text()) for name in IMAGES}
    for name, persons in _persons(home).items():
        (largest, ) = sorted(persons, key=lambda person: -person['area'])[:1]
        truth = np.array(largest['keypoints']).reshape(17, 3)
        errors = [np.linalg.norm(np.array(person['keypoints']) - truth[:, :2], axis=1)[truth[:, 2] > 0]
                  for person in found[name]]
        # Most of the largest person's keypoints are nearer than a tenth of the person's height.
        assert min(np.median(each) for each in errors) < 0.1 * largest['bbox'][3]
