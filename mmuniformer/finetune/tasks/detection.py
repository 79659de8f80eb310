"""Boxes, and masks where the json has polygons, with MMDetection."""
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config
from pycocotools import mask as mask_utils

from mmuniformer.models.backbones.arch import Arch
from mmuniformer.visualization import Cell, draw_sheet

from ..coco import CocoTask
from ..config import loaders
from ..findings import Findings
from ..report import fit_into
from ..samples import Sample
from ..task import Assessment, Picture, Plan

#: Overlap and score from which a box counts as found.
OVERLAP, SCORE = 0.5, 0.5
WORST = 8


class Detection(CocoTask):
    """Mask R-CNN, without its masks where the json has none."""
    metric = 'coco/bbox_mAP'
    zoo = dict(
        small='detection/uniformer/mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco.py',
        small_plus='detection/uniformer/mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco.py',
        base='detection/uniformer/mask-rcnn_uniformer-base-h14_fpn_amp-1x_coco.py',
        xxs='detection/uniformer_light/mask-rcnn_uniformer-xxs_fpn_1x_coco.py',
        xs='detection/uniformer_light/mask-rcnn_uniformer-xs_fpn_1x_coco.py')
    epochs = 24
    max_batch = 4
    rate = dict(pretrained=(1e-4, 16), scratch=(2.5e-4, 4))
    amp = 'float16'  # MMCV's operators on boxes know no bfloat16
    dump = 'DumpDetResults'

    def check_annotation(self, annotation: dict, image: dict, name: str, findings: Findings) -> bool:
        """Run lengths can be decoded and are of the image's size."""
        mask = annotation.get('segmentation')
        if not isinstance(mask, dict) or _can_decode(mask, (image['height'], image['width'])):
            return True
        findings.bad("masks whose run lengths can not be decoded, or are not of their image's size", name)
        return False

    def read(self, data: Path, findings: Findings, is_val: bool = False) -> list[Sample]:
        """See the base class."""
        samples = super().read(data, findings, is_val)
        objects = [annotation for sample in samples for annotation in sample.info['annotations']]
        outlined = sum(map(_has_mask, objects))
        if not is_val:
            self.with_mask = outlined == len(objects)
            findings.facts['trained'] = 'boxes and masks' if self.with_mask else 'boxes'
        if outlined not in (0, len(objects)):
            findings.note(f'objects without a mask, so that none {"is tested" if self.with_mask else "are trained"}',
                          f'{len(objects) - outlined} of {len(objects)}')
            self.with_mask = False
            findings.facts['trained'] = 'boxes'
        elif is_val and self.with_mask and not outlined:
            findings.note('validation data without masks, so that none are trained', data.name)
            self.with_mask = False
            findings.facts['trained'] = 'boxes'
        empty = sum(not sample.info['annotations'] for sample in samples)
        if empty:
            findings.note('images without an object, not used in training', str(empty))
        return samples

    def config(self, plan: Plan, base: Config, folder: Path, size: Arch) -> list[tuple[str, dict[str, Any]]]:
        short = self.options.size or 800
        scale = (round(short * 5 / 3), short)
        count = len(self.categories)
        backbone = self.backbone(plan)
        if not isinstance(self.options.arch, str):  # the zoo's with_cp counts the blocks of its own archs
            backbone['with_cp'] = False
        roi_head = dict(bbox_head=dict(num_classes=count))
        roi_head.update(dict(mask_head=dict(num_classes=count)) if self.with_mask
                        else dict(mask_roi_extractor=None, mask_head=None))
        model = dict(type='MaskRCNN' if self.with_mask else 'FasterRCNN', backbone=backbone,
                     neck=dict(in_channels=list(size.embed_dims)), roi_head=roi_head)
        annotations = dict(type='LoadAnnotations', with_bbox=True, with_mask=self.with_mask)
        train_pipeline = [
            dict(type='LoadImageFromFile'), annotations,
            dict(type='RandomResize', scale=scale, ratio_range=(0.6, 1.0), keep_ratio=True),
            dict(type='RandomFlip', prob=0.5), dict(type='PackDetInputs')]
        test_pipeline = [
            dict(type='LoadImageFromFile'), dict(type='Resize', scale=scale, keep_ratio=True), annotations,
            dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]
        dataset = dict(type='CocoDataset', metainfo=dict(classes=self.classes), data_prefix=dict(img=''))
        train = dict(**dataset, ann_file=str(folder.resolve() / 'train.json'), pipeline=train_pipeline,
                     filter_cfg=dict(filter_empty_gt=True, min_size=8))
        val = dict(**dataset, ann_file=str(folder.resolve() / 'val.json'), pipeline=test_pipeline, test_mode=True)
        evaluator = dict(_delete_=True, type='CocoMetric', ann_file=val['ann_file'], classwise=True,
                         metric=['bbox', 'segm'] if self.with_mask else ['bbox'])
        return [
            ('The detector of the zoo with new heads' + ('.' if self.with_mask else '; the json has no masks.'),
             dict(model=model)),
            ('The split is in COCO json files, whose file names are whole paths.',
             dict(classes=self.classes, train_pipeline=train_pipeline, test_pipeline=test_pipeline,
                  **loaders(plan, train, val, 1, batch_sampler=dict(type='AspectRatioBatchSampler')))),
            ('', dict(val_evaluator=evaluator, test_evaluator=evaluator)),
        ]

    def assess(self, cfg: Config, values: dict, predictions: Sequence[dict], folder: Path) -> Assessment:
        """AP by class, and the images with the most misses and false alarms."""
        names = (folder / 'data/classes.txt').read_text(encoding='utf-8').splitlines()
        content = json.loads((folder / 'data/val.json').read_text())
        label = {category['id']: number for number, category in enumerate(content['categories'])}
        counts, misses, alarms = ([0] * len(names) for _ in range(3))
        judged = []
        for prediction in predictions:
            true = [annotation for annotation in content['annotations']
                    if annotation['image_id'] == prediction['img_id'] and not annotation['iscrowd']]
            boxes = np.array([annotation['bbox'] for annotation in true], float).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            labels = np.array([label[annotation['category_id']] for annotation in true], int)
            found = {key: np.asarray(prediction['pred_instances'][key]) for key in ('bboxes', 'scores', 'labels')}
            sure = found['scores'] >= SCORE
            missed, false = match(boxes, labels, found['bboxes'][sure], found['labels'][sure])
            for number in range(len(names)):
                counts[number] += int((labels == number).sum())
                misses[number] += int((labels[missed] == number).sum())
                alarms[number] += int((found['labels'][sure][false] == number).sum())
            judged.append((len(missed) + len(false), prediction, boxes, labels, missed, found, sure))
        masks = 'segm' in values.get('metrics', ()) or any(key.startswith('coco/segm') for key in values)
        table = [['class', 'objects', f'{"mask" if masks else "box"} AP', f'missed (score {SCORE})', 'false alarms']]
        for number, name in enumerate(names):
            table.append([name, str(counts[number]), f'{values.get(f"coco/{name}_precision", float("nan")):.3f}',
                          str(misses[number]), str(alarms[number])])
        worst = [entry for entry in sorted(judged, key=lambda entry: -entry[0])[:WORST] if entry[0]]
        pictures = []
        if worst:
            cells = [Cell(_draw(prediction['img_path'], boxes, labels, found, sure, names),
                          f'{Path(prediction["img_path"]).name[:24]}: {len(missed)} of {len(boxes)} missed, '
                          f'{wrong - len(missed)} false', False)
                     for wrong, prediction, boxes, labels, missed, found, sure in worst]
            draw_sheet(cells, folder / 'mistakes.png', 'Green: what is there. Red: what was found.', columns=2)
            pictures.append(Picture('mistakes.png', 'Worst mistakes'))
        numbers = [(key, f'{values[key]:.4f}') for key in ('coco/bbox_mAP_50', 'coco/segm_mAP', 'coco/segm_mAP_50')
                   if key in values]
        return Assessment(numbers, table, pictures)

    def usage(self, cfg: Config, config: str, checkpoint: str, folder: Path) -> str:
        return f"""from mmdet.apis import DetInferencer

inferencer = DetInferencer({config!r}, {checkpoint!r})
result = inferencer('image.jpg', out_dir='found')['predictions'][0]  # draws into found/vis
print([(label, score) for label, score in zip(result['labels'], result['scores']) if score > 0.5])"""


def _has_mask(annotation: dict) -> bool:
    mask = annotation.get('segmentation')
    if isinstance(mask, dict):  # run lengths
        return 'counts' in mask
    return isinstance(mask, list) and bool(mask) and all(
        isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in mask)


def _can_decode(mask: dict, size: tuple[int, int]) -> bool:
    """Whether run lengths, compressed or not, are a mask of ``size``."""
    try:
        if isinstance(mask['counts'], list):
            mask = mask_utils.frPyObjects(mask, *mask['size'])
        return mask_utils.decode(mask).shape == size
    except (KeyError, TypeError, ValueError):
        return False


def match(boxes: np.ndarray, labels: np.ndarray, found: np.ndarray,
          found_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pair true boxes with found ones of the same class, the best overlap first.

    Args:
        boxes: ``(N, 4)``, corners in pixels.
        labels: ``(N, )``.
        found: ``(M, 4)``.
        found_labels: ``(M, )``.

    Returns:
        Indices of true boxes without a partner, and of found ones.
    """
    corner = np.maximum(boxes[:, None, :2], found[None, :, :2])
    side = np.clip(np.minimum(boxes[:, None, 2:], found[None, :, 2:]) - corner, 0, None)
    common = side.prod(axis=2)
    area, found_area = ((part[:, 2:] - part[:, :2]).prod(axis=1) for part in (boxes, found))
    overlap = common / np.maximum(area[:, None] + found_area[None] - common, 1e-9)
    overlap[labels[:, None] != found_labels[None]] = 0
    left, false = set(range(len(boxes))), set(range(len(found)))
    for i, j in sorted(zip(*np.nonzero(overlap >= OVERLAP)), key=lambda pair: -overlap[pair]):
        if i in left and j in false:
            left.discard(i)
            false.discard(j)
    return np.array(sorted(left), int), np.array(sorted(false), int)


def _draw(path: str, boxes: np.ndarray, labels: np.ndarray, found: dict, sure: np.ndarray,
          names: Sequence[str]) -> np.ndarray:
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)
    scale = min(300 / image.shape[0], 420 / image.shape[1])
    page = fit_into(image, 300, 420)
    offset = np.array([(420 - round(image.shape[1] * scale)) // 2, (300 - round(image.shape[0] * scale)) // 2] * 2)
    for group, numbers, colour in ((boxes, labels, (20, 160, 60)),
                                   (found['bboxes'][sure], found['labels'][sure], (220, 30, 30))):
        for box, number in zip(group, numbers):
            x0, y0, x1, y1 = (box * scale + offset).round().astype(int).tolist()
            cv2.rectangle(page, (x0, y0), (x1, y1), colour, 2)
            below = colour[1] > 100
            cv2.putText(page, names[number], (x0 + 3, y1 - 5 if below else y0 + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4,
                        colour, 1, cv2.LINE_AA)
    return page


TASK = Detection
