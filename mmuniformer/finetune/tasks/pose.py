"""Keypoints in boxes, with MMPose."""
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

from mmuniformer.models.backbones.arch import Arch
from mmuniformer.visualization import Cell, draw_sheet

from ..coco import CocoTask, is_number
from ..config import loaders
from ..findings import Findings, FinetuneError
from ..report import fit_into
from ..task import Assessment, Picture, Plan

#: A keypoint within this share of the longer side of its box counts as found.
NEAR = 0.1
#: Of keypoints of which nobody has measured how well annotators agree (COCO's lie between 0.025 and 0.107).
SIGMA = 0.05
STRIDE = 32
WORST = 12
SIDES = (('left', 'right'), ('l_', 'r_'), ('_l', '_r'))


class Pose(CocoTask):
    """Heatmaps of the keypoints of a COCO json; boxes are given."""
    metric = 'coco/AP'
    zoo = dict(
        small='pose/uniformer/td-hm_uniformer-small_8xb128-210e_coco-256x192.py',
        small_plus='pose/uniformer/td-hm_uniformer-small_8xb128-210e_coco-256x192.py',
        base='pose/uniformer/td-hm_uniformer-base_8xb128-210e_coco-256x192.py')
    epochs = 60
    max_batch = 64
    rate = dict(pretrained=(2e-3, 1024), scratch=(5e-4, 32))
    amp = 'float16'

    def check_content(self, content: dict, file: Path) -> list[dict[str, Any]]:
        """The one category with keypoints."""
        found = [category for category in content['categories'] if category.get('keypoints')]
        if not found:
            raise FinetuneError(f'{file} has no keypoints: none of its categories has the list keypoints with their '
                                'names.')
        if len(found) > 1:
            several = ', '.join(category['name'] for category in found[:4])
            raise FinetuneError(f'{file} has {len(found)} categories with keypoints ({several}), and a model is for '
                                'one: keep one.')
        names = found[0]['keypoints']
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise FinetuneError(f'{file} needs the list of the names of the keypoints in its category '
                                f'{found[0]["name"]}, not {json.dumps(names)[:40]}.')
        known = self.categories[0]['keypoints'] if self.categories else names
        if known != names:
            raise FinetuneError(f'{file} has other keypoints ({len(names)}) than the training data ({len(known)}).')
        if len(set(known)) < len(known):
            raise FinetuneError(f'{file} has two keypoints of one name in its category {found[0]["name"]}.')
        numbers = range(1, len(names) + 1)
        for link in found[0].get('skeleton') or ():
            if not (isinstance(link, list) and len(link) == 2 and all(number in numbers for number in link)):
                raise FinetuneError(f'{file} has a skeleton with {json.dumps(link)[:40]}: its links are pairs of '
                                    f'keypoints, counted from 1 to {len(names)}.')
        self.count = len(known)
        return found

    def check_annotation(self, annotation: dict, image: dict, name: str, findings: Findings) -> bool:
        """Three numbers for each keypoint, one of them to be seen at least."""
        keypoints = annotation.get('keypoints')
        if not isinstance(keypoints, list) or len(keypoints) != 3 * self.count or not all(map(is_number, keypoints)):
            findings.bad(f'annotations without 3 x {self.count} numbers of keypoints', name)
            return False
        annotation['num_keypoints'] = sum(visible > 0 for visible in keypoints[2::3])
        if not annotation['num_keypoints'] or annotation.get('iscrowd'):
            findings.note('objects without a labelled keypoint, not used', name)
            return False
        x, y, width, height = annotation['bbox']
        outside = sum(visible > 0 and not (x - width <= px <= x + 2 * width and y - height <= py <= y + 2 * height)
                      for px, py, visible in zip(*(keypoints[i::3] for i in range(3))))
        if outside:
            findings.bad('annotations with keypoints far from their box', f'{name} ({outside})')
            return False
        return True

    # ------------------------------------------------------------------ training
    def config(self, plan: Plan, base: Config, folder: Path, size: Arch) -> list[tuple[str, dict[str, Any]]]:
        width = max(STRIDE, round((self.options.size or base.codec['input_size'][0]) / STRIDE) * STRIDE)
        height = round(width * 4 / 3 / STRIDE) * STRIDE
        codec = dict(type='MSRAHeatmap', input_size=(width, height), heatmap_size=(width // 4, height // 4), sigma=2)
        metainfo = self._metainfo()
        image = [dict(type='LoadImage'), dict(type='GetBBoxCenterScale')]
        crop = dict(type='TopdownAffine', input_size=codec['input_size'])
        train_pipeline = [
            *image, dict(type='RandomFlip', direction='horizontal'),
            # Of the person's halves it knows by name only for COCO's keypoints.
            *([] if metainfo else [dict(type='RandomHalfBody')]),
            dict(type='RandomBBoxTransform', shift_prob=0.), crop,
            dict(type='GenerateTarget', encoder=codec), dict(type='PackPoseInputs')]
        val_pipeline = [*image, crop, dict(type='PackPoseInputs')]
        dataset = dict(type='CocoDataset', data_mode='topdown', data_prefix=dict(img=''))
        if metainfo:
            dataset['metainfo'] = metainfo
        train = dict(**dataset, ann_file=str(folder.resolve() / 'train.json'), pipeline=train_pipeline)
        val = dict(**dataset, ann_file=str(folder.resolve() / 'val.json'), pipeline=val_pipeline, test_mode=True)
        evaluator = dict(_delete_=True, type='CocoMetric', ann_file=val['ann_file'])
        head = dict(in_channels=size.embed_dims[3], out_channels=self.count, decoder=codec)
        keypoints = [('The keypoints. AP is measured by the sigmas, how far a keypoint may be off: '
                      f'{SIGMA} stands where nobody knows.', dict(metainfo=metainfo))] if metainfo else []
        return [
            *keypoints,
            ('The estimator of the zoo with a new head.',
             dict(codec=codec, model=dict(backbone=self.backbone(plan), head=head))),
            ('The split is in COCO json files, whose file names are whole paths. The test takes their boxes.',
             dict(train_pipeline=train_pipeline, val_pipeline=val_pipeline, test_pipeline=val_pipeline,
                  **loaders(plan, train, val))),
            ('', dict(val_evaluator=evaluator, test_evaluator=evaluator)),
        ]

    def _metainfo(self) -> dict | None:
        """What MMPose wants to know of the keypoints; None for COCO's, which it knows."""
        from mmpose.datasets.datasets import CocoDataset
        category = self.categories[0]
        names = category['keypoints']
        info = CocoDataset._load_metainfo(CocoDataset.METAINFO)
        if names == [info['keypoint_id2name'][number] for number in range(info['num_keypoints'])]:
            return None
        points = {number: dict(name=name, swap=_other_side(name, names)) for number, name in enumerate(names)}
        links = {number: dict(link=(names[a - 1], names[b - 1]))
                 for number, (a, b) in enumerate(category.get('skeleton') or ())}
        return dict(dataset_name=category.get('name', 'mine'), keypoint_info=points, skeleton_info=links,
                    joint_weights=[1.] * len(names), sigmas=[SIGMA] * len(names))

    # ------------------------------------------------------------------ reporting
    def assess(self, cfg: Config, values: dict, predictions: Sequence[dict], folder: Path) -> Assessment:
        """Which keypoints are found, and the objects whose keypoints are farthest off."""
        names = json.loads((folder / 'data/val.json').read_text())['categories'][0]['keypoints']
        near, labelled = np.zeros(len(names), int), np.zeros(len(names), int)
        judged = []
        for prediction in predictions:
            true = np.array(prediction['raw_ann_info']['keypoints'], float).reshape(-1, 3)
            found = np.asarray(prediction['pred_instances']['keypoints'], float)[0]
            seen = true[:, 2] > 0
            off = np.linalg.norm(found - true[:, :2], axis=1) / max(prediction['raw_ann_info']['bbox'][2:])
            labelled += seen
            near += seen & (off <= NEAR)
            judged.append((off[seen].mean(), prediction, true, found))
        table = [['keypoint', 'labelled', f'within {NEAR:.0%} of the box']]
        table += [[name, str(count), f'{100 * hits / count:.1f} %' if count else '']
                  for name, count, hits in zip(names, labelled, near)]
        worst = sorted(judged, key=lambda entry: -entry[0])[:WORST]
        cells = [Cell(_draw(prediction, true, found), f'{Path(prediction["img_path"]).name[:18]}: {off:.0%} off',
                      off <= NEAR) for off, prediction, true, found in worst]
        draw_sheet(cells, folder / 'mistakes.png', 'Green: where the keypoints are. Red: where they were found.',
                   columns=4)
        numbers = [(key, f'{values[key]:.4f}') for key in ('coco/AP .5', 'coco/AR') if key in values]
        share = 100 * near.sum() / max(labelled.sum(), 1)
        numbers.append((f'keypoints within {NEAR:.0%} of the box', f'{share:.1f} %'))
        return Assessment(numbers, table, [Picture('mistakes.png', 'Worst mistakes')])

    def usage(self, cfg: Config, config: str, checkpoint: str, folder: Path) -> str:
        return f"""from mmpose.apis import inference_topdown, init_model

model = init_model({config!r}, {checkpoint!r}, device='cpu')  # or 'cuda'
# Boxes (left, top, right, bottom) in pixels, as of a detector; None takes the whole image as one.
result = inference_topdown(model, 'image.jpg', bboxes=None)[0]
print(result.pred_instances.keypoints, result.pred_instances.keypoint_scores)"""


def _other_side(name: str, names: Sequence[str]) -> str:
    """The keypoint that a mirror would turn this one into, by its name; empty for itself."""
    for left, right in SIDES:
        for one, other in ((left, right), (right, left)):
            swapped = re.sub(re.escape(one), other, name, count=1, flags=re.IGNORECASE)
            match = next((each for each in names if each.lower() == swapped.lower() != name.lower()), None)
            if match:
                return match
    return ''


def _draw(prediction: dict, true: np.ndarray, found: np.ndarray) -> np.ndarray:
    image = cv2.cvtColor(cv2.imread(prediction['img_path']), cv2.COLOR_BGR2RGB)
    x, y, width, height = prediction['raw_ann_info']['bbox']
    left, top = max(0, int(x - 0.15 * width)), max(0, int(y - 0.15 * height))
    crop = image[top:int(y + 1.15 * height) + 1, left:int(x + 1.15 * width) + 1]
    scale = min(240 / crop.shape[0], 200 / crop.shape[1])
    page = fit_into(crop, 240, 200)
    offset = np.array([(200 - round(crop.shape[1] * scale)) // 2, (240 - round(crop.shape[0] * scale)) // 2])
    for (tx, ty, visible), point in zip(true, found):
        if visible <= 0:
            continue
        ends = [tuple(((np.array(end) - (left, top)) * scale + offset).round().astype(int).tolist())
                for end in ((tx, ty), point)]
        cv2.line(page, *ends, (240, 200, 40), 1, cv2.LINE_AA)
        for end, colour in zip(ends, ((20, 160, 60), (220, 30, 30))):
            cv2.circle(page, end, 3, colour, -1, cv2.LINE_AA)
    return page


TASK = Pose
