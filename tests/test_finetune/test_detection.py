"""From a COCO json to a detector, with masks and without, and what is wrong with boxes and files."""
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmuniformer.datasets.generated.instances import generate_instances
from mmuniformer.finetune import FinetuneError
from mmuniformer.finetune.tasks.detection import match

from .conftest import LEARNER, pictures, reported, run, snippet, untrained

#: Heads as small as the network.
HEADS = {
    'model.neck.out_channels': 16, 'model.rpn_head': dict(in_channels=16, feat_channels=16),
    'model.train_cfg.rpn_proposal.max_per_img': 50, 'model.test_cfg.rpn.max_per_img': 50,
    'model.train_cfg.rcnn.sampler.num': 32, 'model.roi_head.bbox_roi_extractor.out_channels': 16,
    'model.roi_head.bbox_head.in_channels': 16, 'model.roi_head.bbox_head.fc_out_channels': 32}
MASK_HEADS = {**HEADS, 'model.roi_head.mask_roi_extractor.out_channels': 16,
              'model.roi_head.mask_head.in_channels': 16, 'model.roi_head.mask_head.conv_out_channels': 16}


def draw_coco(root: Path, count: int = 10, masks: bool = True) -> Path:
    """``root/images/N.png`` of two rectangles each, one of each class, and ``root/all.json``."""
    (root / 'images').mkdir(parents=True)
    content = dict(images=[], annotations=[],
                   categories=[dict(id=3, name='red thing'), dict(id=7, name='blue'), dict(id=9, name='unseen')])
    for number in range(count):
        rng = np.random.default_rng(number)
        image = np.full((60, 80, 3), 90, np.uint8)
        for category, left in ((3, 0), (7, 40)):
            x, y = int(left + rng.integers(2, 10)), int(rng.integers(2, 20))
            w, h = rng.integers(15, 25, 2).tolist()
            image[y:y + h, x:x + w] = (30, 30, 220) if category == 3 else (220, 30, 30)
            annotation = dict(id=len(content['annotations']), image_id=number, category_id=category, bbox=[x, y, w, h],
                              area=w * h, iscrowd=0)
            if masks:
                annotation['segmentation'] = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            content['annotations'].append(annotation)
        cv2.imwrite(str(root / f'images/{number}.png'), image)
        content['images'].append(dict(id=number, file_name=f'{number}.png', height=60, width=80))
    (root / 'all.json').write_text(json.dumps(content))
    return root


def change(root: Path, edit) -> Path:
    """Edit the json of a folder."""
    content = json.loads((root / 'all.json').read_text())
    edit(content)
    (root / 'all.json').write_text(json.dumps(content))
    return root


@pytest.fixture(scope='module')
def coco(tmp_path_factory):
    return draw_coco(tmp_path_factory.mktemp('coco') / 'data')


def test_masks(coco, tmp_path):
    report = run('detection', coco, tmp_path / 'out', epochs=1, size=64, batch_size=2, cfg_options=MASK_HEADS)
    cfg = Config.fromfile(tmp_path / 'out/config.py')
    assert cfg.model.type == 'MaskRCNN' and cfg.model.roi_head.mask_head.num_classes == 2
    text = report.read_text()
    for line in ('coco/bbox_mAP', 'coco/segm_mAP', '| red thing | 2 |', '| blue | 2 |', 'classes without an object'):
        assert line in text
    assert 'mistakes.png' in pictures(report)  # an untrained detector misses what is there
    train, val = (json.loads((tmp_path / f'out/data/{name}.json').read_text()) for name in ('train', 'val'))
    names = [{Path(image['file_name']).name for image in part['images']} for part in (train, val)]
    assert len(names[0]) == 8 and len(names[1]) == 2 and not names[0] & names[1]
    scope = {}
    exec(snippet(report, {'image.jpg': str(coco / 'images/0.png'), "'found'": repr(str(tmp_path / 'found'))}), scope)
    assert set(scope['result']) >= {'labels', 'scores', 'bboxes'} and (tmp_path / 'found/vis/0.png').is_file()


def test_nothing_found(coco, tmp_path):
    report = run('detection', coco, tmp_path / 'out', epochs=1, size=64, batch_size=2,
                 cfg_options={**MASK_HEADS, 'model.test_cfg.rcnn.score_thr': 0.999})
    assert reported(report, 'coco/bbox_mAP') == 0 and '| red thing | 2 |' in report.read_text()


def test_faults(coco, tmp_path, capsys):
    shutil.copytree(coco, tmp_path / 'data')
    (tmp_path / 'data/images/0.png').unlink()
    (tmp_path / 'data/images/1.png').write_bytes(b'no image')

    def edit(content):
        content['images'][2]['width'] = 81
        boxes = content['annotations']
        boxes[6]['bbox'], boxes[7]['bbox'] = [90, 5, 10, 10], [5, 5, 0, 10]
        boxes[8]['bbox'], boxes[9]['category_id'], boxes[10]['image_id'] = [70, 5, 30, 10], 4, 99
        del boxes[11]['bbox']
        boxes[12]['bbox'][0] = float('nan')
        boxes[13]['segmentation'] = dict(size=[60, 80], counts='abc')
        boxes[14]['segmentation'] = dict(size=[80, 60], counts=[80 * 60])
        boxes[15]['segmentation'] = dict(size=[60, 80], counts=[9, 80 * 60 - 9])

    change(tmp_path / 'data', edit)
    with pytest.raises(FinetuneError, match='BAD above'):
        run('detection', tmp_path / 'data', tmp_path / 'out')
    table = capsys.readouterr().out
    for fault in ('images that are not there', 'images that can not be read',
                  'images of another size than the json says', 'boxes outside the image',
                  'boxes without width or height', 'annotations without a box',
                  'annotations of categories that the json does not have',
                  'annotations of images that the json does not have',
                  "masks whose run lengths can not be decoded, or are not of their image's size",
                  'note  boxes that reach over the border'):
        assert fault in table, fault
    run('detection', tmp_path / 'data', tmp_path / 'out', skip_bad=True, prepare=True, batch_size=2)
    parts = [json.loads((tmp_path / f'out/data/{name}.json').read_text()) for name in ('train', 'val')]
    assert sum(len(part['images']) for part in parts) == 7
    # of 14 objects in them eight are bad
    assert sum(len(part['annotations']) for part in parts) == 6


class TestBadInput:

    def check(self, message, data, out, **options):
        with pytest.raises(FinetuneError, match=message) as caught:
            run('detection', data, out, **options)
        assert '\n' not in str(caught.value)

    @pytest.mark.parametrize('content, message', [
        ('[{"image_id": 1, "score": 0.5}]', 'is a list, as files of detections are'),
        ('{"version": "5.0", "shapes": []}', 'json of another kind.*it has version, shapes'),
        ('{"images": [], "annotations": [], "categories": []}', 'has no images'),
        ('{"images": [1}', 'is no json'),
        ('{"images": ["a.png"], "annotations": [{}], "categories": [{}]}', '"a.png" among its images'),
    ])
    def test_json(self, tmp_path, content, message):
        (tmp_path / 'file.json').write_text(content)
        self.check(message, tmp_path / 'file.json', tmp_path / 'out')

    def test_files(self, coco, tmp_path):
        self.check('holds no .json file', coco / 'images', tmp_path / 'out')
        shutil.copy(coco / 'all.json', tmp_path / 'all.json')
        self.check('name their folder by --images', tmp_path / 'all.json', tmp_path / 'out')
        run('detection', tmp_path / 'all.json', tmp_path / 'out', images=coco / 'images', prepare=True, batch_size=2)
        shutil.copy(coco / 'all.json', tmp_path / 'more.json')
        self.check('holds 2 json files .all.json, more.json.: give one as --data', tmp_path, tmp_path / 'out2')

    def test_images_of_one_name_in_several_folders(self, coco, tmp_path):
        """COCO's layout: the json's name tells whose its images are, and nothing is guessed."""
        for name in ('train2017', 'val2017'):
            shutil.copytree(coco / 'images', tmp_path / name)
            (tmp_path / 'annotations').mkdir(exist_ok=True)
            shutil.copy(coco / 'all.json', tmp_path / f'annotations/instances_{name}.json')
        train, val = (tmp_path / f'annotations/instances_{name}.json' for name in ('train2017', 'val2017'))
        run('detection', train, tmp_path / 'out', val=val, prepare=True, batch_size=2)
        for name in ('train', 'val'):
            content = json.loads((tmp_path / f'out/data/{name}.json').read_text())
            assert {Path(image['file_name']).parent.name for image in content['images']} == {f'{name}2017'}
        val.rename(tmp_path / 'annotations/test.json')
        self.check('several folders .*train2017, .*val2017.: name theirs by --images', train, tmp_path / 'out2',
                   val=tmp_path / 'annotations/test.json')

    @pytest.mark.parametrize('category, message', [
        (dict(id=11), 'category without id or name: {"id": 11}'),
        (dict(name='green'), 'category without id or name: {"name": "green"}'),
        (dict(id=3, name='green'), '2 categories of the id 3'),
        (dict(id=11, name='blue'), '2 categories of the name blue'),
    ])
    def test_categories(self, coco, tmp_path, category, message):
        shutil.copytree(coco, tmp_path / 'data')
        change(tmp_path / 'data', lambda content: content['categories'].append(category))
        self.check(message, tmp_path / 'data', tmp_path / 'out')

    def test_two_images_of_one_id(self, coco, tmp_path):
        shutil.copytree(coco, tmp_path / 'data')
        change(tmp_path / 'data', lambda content: content['images'][4].update(id=5))
        self.check('2 images of the id 5', tmp_path / 'data', tmp_path / 'out')

    def test_shares_instead_of_pixels(self, coco, tmp_path, capsys):
        def edit(content):
            for annotation in content['annotations']:
                annotation['bbox'] = [side / 100 for side in annotation['bbox']]

        shutil.copytree(coco, tmp_path / 'data')
        change(tmp_path / 'data', edit)
        self.check('no annotation that can be trained with: see the faults', tmp_path / 'data', tmp_path / 'out')
        assert 'of less than a pixel (in shares of the image?)' in capsys.readouterr().out

    def test_corners_instead_of_sides(self, coco, tmp_path, capsys):
        def edit(content):
            for annotation in content['annotations']:
                x, y, width, height = annotation['bbox']
                annotation['bbox'] = [x, y, x + width, y + height]

        shutil.copytree(coco, tmp_path / 'data')
        change(tmp_path / 'data', edit)
        run('detection', tmp_path / 'data', tmp_path / 'out', prepare=True, batch_size=2)
        assert 'are they corners?' in capsys.readouterr().out

    def test_no_annotation(self, coco, tmp_path):
        shutil.copytree(coco, tmp_path / 'data')
        change(tmp_path / 'data', lambda content: content.update(annotations=[]))
        self.check('has no annotations', tmp_path / 'data', tmp_path / 'out')


def test_match():
    boxes = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10.]])
    found = np.array([[1, 0, 11, 10], [20, 0, 30, 10], [0, 0, 10, 10], [80, 0, 90, 10.]])
    missed, false = match(boxes, np.array([0, 0, 1]), found, np.array([0, 1, 0, 0]))
    assert missed.tolist() == [1, 2] and false.tolist() == [0, 1, 3]
    assert [part.tolist() for part in match(boxes[:0], np.zeros(0, int), found[:1], np.zeros(1, int))] == [[], [0]]


def test_real_photographs_with_boxes_alone(shared, tmp_path):
    """Validation data of their own, and no masks: those of the training data are not trained."""
    content = json.loads((shared / 'data/coco/instances_keypoints.json').read_text())
    for annotation in content['annotations']:
        del annotation['segmentation']
    (tmp_path / 'val.json').write_text(json.dumps(content))
    train = shared / 'data/coco/instances_keypoints.json'
    report = run('detection', train, tmp_path / 'out', val=tmp_path / 'val.json',
                 images=shared / 'data/coco', epochs=1, size=64, batch_size=2, cfg_options=HEADS)
    text = report.read_text()
    assert '| person |' in text and 'box AP' in text and 'segm' not in text and 'without masks' in text
    cfg = Config.fromfile(tmp_path / 'out/config.py')
    assert cfg.model.type == 'FasterRCNN' and cfg.model.roi_head.mask_head is None


@pytest.mark.slow
def test_learns(tmp_path):
    """Six shapes that hide parts of each other."""
    root = generate_instances(tmp_path / 'data', train=260, val=40)
    train, val = (root / f'annotations/instances_{name}2017.json' for name in ('train', 'val'))
    report = run('detection', train, tmp_path / 'out', val=val, arch=LEARNER, epochs=7, size=128, batch_size=4,
                 cfg_options={
                     'model.neck.out_channels': 64, 'model.rpn_head': dict(in_channels=64, feat_channels=64),
                     'model.train_cfg.rpn_proposal': dict(nms_pre=200, max_per_img=100),
                     'model.test_cfg.rpn': dict(nms_pre=200, max_per_img=50),
                     'model.train_cfg.rcnn.sampler.num': 64,
                     'model.roi_head.bbox_roi_extractor.out_channels': 64,
                     'model.roi_head.bbox_head': dict(in_channels=64, fc_out_channels=256),
                     'model.roi_head.mask_roi_extractor.out_channels': 64,
                     'model.roi_head.mask_head': dict(num_convs=2, in_channels=64, conv_out_channels=64)})
    before = untrained(report, tmp_path / 'untrained')
    for kind in ('bbox', 'segm'):
        assert before.get(f'coco/{kind}_mAP_50', 0.) < 0.02  # absent where nothing is found at all
        assert reported(report, f'coco/{kind}_mAP_50') >= 0.15
