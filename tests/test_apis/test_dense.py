"""Detection, segmentation and pose: equal to the frameworks' inferencers on files, drawn and written as said."""
import cv2
import numpy as np
import pytest

from mmuniformer.apis import PredictError, Predictor
from mmuniformer.apis.media import Stream
from mmuniformer.datasets.generated.motion import write_video

from .models import DENSE, dense


@pytest.fixture(scope='module')
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp('picture') / 'street.png'
    rng = np.random.default_rng(3)
    image = cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (160, 120), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture(scope='module')
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp('dense')
    return {task: dense(folder, task) for task in DENSE}


def _drawn(tmp_path, result, picture):
    drawn = cv2.imread(str(tmp_path / result['files']['drawn'])).astype(int)
    return np.abs(drawn - cv2.imread(str(picture))).max(-1) > 40


def test_detection(models, picture, tmp_path):
    from mmdet.apis import DetInferencer
    config, checkpoint = map(str, models['detection'])
    threshold = 0.005  # the focal loss starts at 0.01
    result = Predictor(config, checkpoint, device='cpu', threshold=threshold)(picture, tmp_path)
    found = result['frames'][0]['instances']
    expected = DetInferencer(config, checkpoint, device='cpu', show_progress=False)(str(picture))['predictions'][0]
    boxes = [box for box, score in zip(expected['bboxes'], expected['scores']) if score >= threshold]
    assert found and len(found) == len(boxes)
    np.testing.assert_allclose([instance['box'] for instance in found], boxes, atol=0.01)
    assert {instance['name'] for instance in found} <= {'cat', 'dog', 'cow'}
    assert _drawn(tmp_path, result, picture).sum() > 100
    none = Predictor(config, checkpoint, device='cpu', threshold=0.99)(picture)
    assert none['frames'][0]['instances'] == []


def test_segmentation(models, picture, tmp_path):
    from mmseg.apis import MMSegInferencer
    config, checkpoint = map(str, models['segmentation'])
    predictor = Predictor(config, checkpoint, device='cpu')
    result = predictor(picture, tmp_path)
    expected = MMSegInferencer(config, checkpoint, device='cpu')(str(picture))['predictions']
    mask = cv2.imread(str(tmp_path / result['files']['mask']), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(mask, expected)
    parts = result['frames'][0]['classes']
    assert {part['name'] for part in parts} <= {'sky', 'road', 'tree'}
    for part in parts:
        assert part['share'] == pytest.approx((mask == part['label']).mean(), abs=1e-4)
    # Half the picture, half the colour of the class, in BGR (classes are red, green and blue).
    drawn = cv2.imread(str(tmp_path / result['files']['drawn'])).astype(int)
    blend = (cv2.imread(str(picture)) + np.eye(3)[2 - mask] * 255) / 2
    assert np.median(np.abs(drawn - blend)) < 6

    write_video(tmp_path / 'video.mp4', np.stack([cv2.imread(str(picture))] * 2), 5)
    frames = predictor(tmp_path / 'video.mp4', tmp_path / 'out')
    assert len(frames['frames']) == 2 and 'mask' not in frames['files']
    with Stream(tmp_path / 'out' / 'video.mp4') as stream:
        assert len(list(stream)) == 2


def test_pose_of_the_whole_picture(models, picture, tmp_path):
    from mmpose.apis import MMPoseInferencer
    config, checkpoint = map(str, models['pose'])
    result = Predictor(config, checkpoint, device='cpu', threshold=0.)(picture, tmp_path)
    people = result['frames'][0]['people']
    inferencer = MMPoseInferencer(pose2d=config, pose2d_weights=checkpoint, det_model='whole_image', device='cpu')
    expected = next(inferencer(str(picture)))['predictions'][0][0]
    assert len(people) == 1 and people[0]['box'] == [0, 0, 160, 120]
    np.testing.assert_allclose(np.array(people[0]['keypoints'])[:, :2], expected['keypoints'], atol=0.01)
    np.testing.assert_allclose(np.array(people[0]['keypoints'])[:, 2], expected['keypoint_scores'], atol=1e-3)
    assert len(result['frames'][0]['keypoint_names']) == 17 and result['frames'][0]['keypoint_names'][0] == 'nose'
    assert _drawn(tmp_path, result, picture).sum() > 100


def test_pose_in_the_boxes_of_a_detector(models, picture):
    threshold = 0.005
    detections = Predictor(*models['detection'], device='cpu', threshold=threshold)(picture)['frames'][0]['instances']
    cats = [instance['box'] for instance in detections if instance['label'] == 0]
    predictor = Predictor(*models['pose'], device='cpu', threshold=threshold, detector=models['detection'])
    people = predictor(picture)['frames'][0]['people']
    assert 0 < len(people) <= len(cats)  # MMPose leaves out what overlaps
    for person in people:
        assert min(np.abs(np.array(cat) - person['box']).max() for cat in cats) < 0.02


def test_options_of_another_task(models):
    with pytest.raises(PredictError, match='A detector is for pose estimation, and .* is of segmentation'):
        Predictor(*models['segmentation'], detector=models['detection'])
    with pytest.raises(PredictError, match='segmentation.py is not a config of MMDetection, and so no detector'):
        Predictor(*models['pose'], detector=models['segmentation'])
    with pytest.raises(PredictError, match='its keypoints have names'):
        Predictor(*models['pose'], labels='x.txt')
    with pytest.raises(PredictError, match='segmentation.pth does not fit .*pose.py'):
        Predictor(models['pose'][0], models['segmentation'][1], device='cpu')
