"""Classes of images, with MMPretrain."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

from mmuniformer.models.backbones.arch import Arch

from ..classes import ClassTask
from ..config import loaders
from ..findings import Findings
from ..report import fit_into
from ..samples import Sample, list_files
from ..task import Plan

ENDINGS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif', '.tiff', '.webp')
SMALLEST = 16


class Image(ClassTask):
    """Image folders."""
    metric = 'accuracy/top1'
    zoo = dict(
        small='classification/uniformer/uniformer-small_8xb128_in1k.py',
        small_plus='classification/uniformer/uniformer-small-plus_8xb128_in1k.py',
        base='classification/uniformer/uniformer-base_8xb128_in1k.py',
        large='classification/uniformer/uniformer-base_8xb128_in1k.py',
        xxs='classification/uniformer_light/uniformer-xxs_8xb512_in1k-224px.py',
        xs='classification/uniformer_light/uniformer-xs_8xb512_in1k-224px.py')
    epochs = 30
    max_batch = 64
    rate = dict(pretrained=(5e-5, 64), scratch=(7.5e-4, 64))
    head_lr_mult = 10.
    unit = 'images'

    def find(self, folder: Path) -> list[Path]:
        return list_files(folder, ENDINGS)

    def check(self, sample: Sample, findings: Findings) -> bool:
        image = cv2.imread(str(sample.path))
        name = f'{sample.path.parent.name}/{sample.path.name}'
        if image is None:
            findings.bad('images that can not be read', name)
            return False
        if min(image.shape[:2]) < SMALLEST:
            findings.note(f'images with a side under {SMALLEST} pixels', name)
        return True

    def line(self, sample: Sample, label: int) -> str:
        return f'{sample.path} {label}'

    def config(self, plan: Plan, base: Config, folder: Path, size: Arch) -> list[tuple[str, dict[str, Any]]]:
        side = self.options.size or base.test_pipeline[2]['crop_size']
        metainfo = dict(classes=self.classes)
        resize = dict(backend='pillow', interpolation='bicubic')
        flip = [] if self.unmirrored else [dict(type='RandomFlip', prob=0.5, direction='horizontal')]
        train_pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=side, crop_ratio_range=(0.3, 1.0), **resize), *flip,
            dict(type='PackInputs')]
        test_pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=round(side * 8 / 7), edge='short', **resize),
            dict(type='CenterCrop', crop_size=side),
            dict(type='PackInputs')]
        dataset = dict(type='CustomDataset', data_root='', metainfo=metainfo)
        train = dict(**dataset, ann_file=str(folder.resolve() / 'train.txt'), pipeline=train_pipeline)
        val = dict(**dataset, ann_file=str(folder.resolve() / 'val.txt'), pipeline=test_pipeline, test_mode=True)
        count = len(self.classes)
        evaluator = dict(_delete_=True, type='Accuracy', topk=(1, ))
        return [
            ('The network of the zoo with a new head; images are not mixed: few in few epochs do not need it.',
             dict(model=dict(backbone=self.backbone(plan),
                             head=dict(num_classes=count, in_channels=size.embed_dims[3]), train_cfg=None),
                  data_preprocessor=dict(num_classes=count))),
            ('The split is in the annotation files: path and number of the class, as in classes.txt.',
             dict(classes=self.classes, train_pipeline=train_pipeline, test_pipeline=test_pipeline,
                  **loaders(plan, train, val))),
            ('', dict(val_evaluator=evaluator, test_evaluator=evaluator)),
        ]

    def paths(self, cfg: Config, predictions: Sequence[dict]) -> list[Path]:
        return [Path(prediction['img_path']) for prediction in predictions]

    def picture(self, path: Path) -> np.ndarray:
        return fit_into(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), 180, 240)

    def usage(self, cfg: Config, config: str, checkpoint: str, folder: Path) -> str:
        return f"""from mmpretrain import ImageClassificationInferencer

inferencer = ImageClassificationInferencer({config!r}, pretrained={checkpoint!r})
result = inferencer('image.jpg')[0]
print(result['pred_class'], result['pred_score'])"""


TASK = Image
