"""A class for every pixel, with MMSegmentation."""
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import mmengine
import numpy as np
from mmengine.config import Config
from mmengine.evaluator import DumpResults
from mmengine.registry import METRICS
from PIL import Image, UnidentifiedImageError

from mmuniformer.models.backbones.arch import Arch
from mmuniformer.progress import progress
from mmuniformer.visualization import Cell, draw_sheet, strip

from ..config import loaders
from ..findings import Findings, FinetuneError
from ..report import draw_confusion, fit_into
from ..samples import Sample, list_files, source_of
from ..task import Assessment, Picture, Plan, Task

IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'JPEGImages')
MASK_FOLDERS = ('masks', 'mask', 'labels', 'annotations', 'SegmentationClass')
IMAGE_ENDINGS = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp')
MASK_ENDINGS = ('.png', '.bmp', '.tif', '.tiff')
MASK_MARKS = ('', '_mask', '_label', '_labels', '_gt', '_seg')
IGNORED = 255
RARE = 0.001
WORST = 8


class Segmentation(Task):
    """Semantic FPN on a folder of images and one of masks.

    Attributes:
        classes: Names; a pixel of the mask holds the number of its class.
        endings: What follows the common name in the files of images and of masks.
        places: The folders of images and masks by split.
    """
    metric = 'mIoU'
    zoo = dict(
        small='segmentation/uniformer/uniformer-small-h14_fpn_8xb4-80k_ade20k-512x512.py',
        small_plus='segmentation/uniformer/uniformer-small-h14_fpn_8xb4-80k_ade20k-512x512.py',
        base='segmentation/uniformer/uniformer-base-h14_fpn_8xb4-80k_ade20k-512x512.py',
        xxs='segmentation/uniformer_light/uniformer-xxs_fpn_8xb4-80k_ade20k-512x512.py',
        xs='segmentation/uniformer_light/uniformer-xs_fpn_8xb4-80k_ade20k-512x512.py')
    epochs = 50
    max_batch = 8
    rate = dict(pretrained=(2e-4, 32), scratch=(5e-4, 16))
    amp = 'float16'
    dump = 'KeepMasks'
    unit = 'images'

    def __init__(self, options):
        super().__init__(options)
        self.classes: list[str] = []
        self.endings: tuple[str, str] | None = None
        self.places: dict[str, tuple[Path, Path]] = {}

    # ------------------------------------------------------------------ reading
    def read(self, data: Path, findings: Findings, is_val: bool = False) -> list[Sample]:
        """See the base class."""
        folders = _folders(data)
        if not is_val:
            self.places['train'] = folders
            self.classes = _names(data)
        self.places['val'] = folders
        pairs = self._pair(*folders, findings)
        samples, pixels = [], Counter()
        grey, depths = set(), set()
        for sample in progress(pairs, f'checking {data.name}'):
            name = sample.path.name
            image = cv2.imread(str(sample.path))
            if image is None:
                findings.bad('images that can not be read', name)
                continue
            try:
                mask = np.asarray(Image.open(sample.info['mask']))
            except (UnidentifiedImageError, OSError, SyntaxError):
                findings.bad('masks that can not be read', sample.info['mask'].name)
                continue
            if mask.ndim != 2 or mask.dtype not in (np.uint8, bool):
                depths.add('colour pictures' if mask.ndim > 2 else f'maps of {mask.dtype}')
                findings.bad('masks that are no map of one byte a pixel (a colour picture?)', sample.info['mask'].name)
                continue
            if mask.shape != image.shape[:2]:
                findings.bad('masks of another size than their image',
                             f'{name} ({mask.shape[1]}x{mask.shape[0]}, image {image.shape[1]}x{image.shape[0]})')
                continue
            values, counts = np.unique(mask, return_counts=True)
            present = {int(value): int(count) for value, count in zip(values, counts)}
            grey |= set(present)
            if self.classes:
                beyond = [value for value in present if len(self.classes) <= value != IGNORED]
                if beyond:
                    findings.bad(f'masks with values beyond the {len(self.classes)} classes (and {IGNORED}, which is '
                                 'ignored)', f'{sample.info["mask"].name} ({", ".join(map(str, beyond[:4]))})')
                    continue
            if set(present) <= {IGNORED}:
                findings.bad('masks without a pixel of a class', sample.info['mask'].name)
                continue
            sample.info['present'] = [value for value in present if value != IGNORED]
            pixels.update({value: count for value, count in present.items() if value != IGNORED})
            samples.append(sample)
        if depths and not samples:
            raise FinetuneError(f'The masks in {folders[1]} are {" and ".join(sorted(depths))}: save the number of its '
                                'class in each pixel, as a png of one channel of 8 bits or with a palette.')
        if samples and grey == {0, IGNORED} and not is_val:
            raise FinetuneError(f'The masks in {folders[1]} hold 0 and {IGNORED} only, and {IGNORED} means ignored: '
                                'save what they mark as 1.')
        self._check_classes(samples, pixels, data, findings, is_val)
        rarity = Counter(value for sample in samples for value in sample.info['present'])
        for sample in samples:
            sample.stratum = min(sample.info['present'], key=rarity.__getitem__)
        return samples

    def _pair(self, images: Path, masks: Path, findings: Findings) -> list[Sample]:
        pictures = list_files(images, IMAGE_ENDINGS)
        if not pictures:
            raise FinetuneError(f'{images} holds no images.')
        known = {path.relative_to(masks).as_posix(): path for path in list_files(masks, MASK_ENDINGS)}
        pairs = []
        for path in pictures:
            stem = path.relative_to(images).with_suffix('').as_posix()
            mark = next((mark + ending for mark in MASK_MARKS for ending in MASK_ENDINGS
                         if stem + mark + ending in known), None)
            if mark is None:
                findings.bad('images without a mask of the same name', path.name)
                continue
            pairs.append((path, stem, (path.suffix, mark)))
        if not pairs:
            if list_files(masks, ('.jpg', '.jpeg')):
                raise FinetuneError(f'The masks in {masks} are jpg files, whose compression changes numbers: save them '
                                    'as png.')
            raise FinetuneError(f'No mask in {masks} has the name of an image in {images}: a.jpg needs a.png (or '
                                'a_mask.png).')
        if self.endings is None:
            self.endings = Counter(endings for *_, endings in pairs).most_common(1)[0][0]
        samples, used = [], set()
        for path, stem, endings in pairs:
            used.add(stem + endings[1])
            if endings != self.endings:
                findings.bad(f'files not named as most are (image {self.endings[0]}, mask {self.endings[1]})',
                             path.name)
                continue
            info = dict(mask=known[stem + endings[1]], stem=stem)
            samples.append(Sample(path, source=source_of(path.stem), info=info))
        for name in known.keys() - used:
            findings.note('masks without an image', name)
        return samples

    def _check_classes(self, samples: list[Sample], pixels: Counter, data: Path, findings: Findings,
                       is_val: bool) -> None:
        if is_val:
            return
        if not self.classes and pixels:
            self.classes = [f'class {value}' for value in range(max(pixels) + 1)]
            findings.note('no classes.txt with the names, one a line, from 0: classes are counted from the masks',
                          f'0 to {max(pixels)}')
        if len(self.classes) < 2:
            raise FinetuneError(f'{data} has {"one class only" if pixels else "no mask that can be used"}: a segmentor '
                                'needs at least two, of which one may be the background.')
        total = sum(pixels.values())
        findings.facts['classes'] = str(len(self.classes))
        for value, name in enumerate(self.classes):
            if not pixels[value]:
                findings.note('classes without a pixel', name)
            elif pixels[value] < RARE * total:
                findings.note('classes of less than a thousandth of the pixels', name)

    # ------------------------------------------------------------------ writing
    def write(self, train: Sequence[Sample], val: Sequence[Sample], folder: Path) -> None:
        """``train.txt``, ``val.txt``: names without endings, as in MMSegmentation, and ``classes.txt``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'classes.txt').write_text('\n'.join(self.classes) + '\n', encoding='utf-8')
        for name, samples in dict(train=train, val=val).items():
            (folder / f'{name}.txt').write_text(''.join(f'{sample.info["stem"]}\n' for sample in samples),
                                                encoding='utf-8')

    # ------------------------------------------------------------------ training
    def config(self, plan: Plan, base: Config, folder: Path, size: Arch) -> list[tuple[str, dict[str, Any]]]:
        side = self.options.size or base.model.data_preprocessor.size[0]
        scale = (4 * side, side)
        train_pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
            dict(type='RandomCrop', crop_size=(side, side), cat_max_ratio=0.75),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PhotoMetricDistortion'),
            dict(type='PackSegInputs')]
        test_pipeline = [
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=scale, keep_ratio=True),
            dict(type='ResizeToMultiple', size_divisor=32),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs')]
        common = dict(type='BaseSegDataset', metainfo=dict(classes=self.classes), img_suffix=self.endings[0],
                      seg_map_suffix=self.endings[1])
        train, val = (dict(**common, data_prefix=dict(zip(('img_path', 'seg_map_path'), map(str, self.places[name]))),
                           ann_file=str(folder.resolve() / f'{name}.txt')) for name in ('train', 'val'))
        train.update(pipeline=train_pipeline)
        val.update(pipeline=test_pipeline, test_mode=True)
        return [
            ('The segmentor of the zoo with a new head.',
             dict(model=dict(data_preprocessor=dict(size=(side, side)), backbone=self.backbone(plan),
                             neck=dict(in_channels=list(size.embed_dims)),
                             decode_head=dict(num_classes=len(self.classes))))),
            ('The split is in the annotation files: names without endings. Masks hold the numbers of the classes; '
             f'{IGNORED} is ignored.',
             dict(classes=self.classes, train_pipeline=train_pipeline, test_pipeline=test_pipeline,
                  **loaders(plan, train, val, 1))),
            ('In epochs, which the zoo counts in iterations.',
             dict(log_processor=dict(by_epoch=True),
                  val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
                  test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']))),
        ]

    # ------------------------------------------------------------------ reporting
    def assess(self, cfg: Config, values: dict, predictions: Sequence[dict], folder: Path) -> Assessment:
        """IoU by class, which pixels are taken for which, and the images with the most wrong pixels."""
        names = (folder / 'data/classes.txt').read_text(encoding='utf-8').splitlines()
        matrix = np.zeros((len(names), len(names)), np.int64)
        judged = []
        for prediction in predictions:
            true = np.asarray(Image.open(prediction['seg_map_path'])).astype(int)
            valid = true != IGNORED
            pairs = true[valid] * len(names) + prediction['mask'][valid]
            matrix += np.bincount(pairs, minlength=matrix.size).reshape(matrix.shape)
            judged.append(((true != prediction['mask'])[valid].mean() if valid.any() else 0., prediction, true))
        true, found, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
        shares = 100 * matrix / np.maximum(true[:, None], 1)
        draw_confusion(shares.round().astype(int), names, folder / 'confusion.png')
        table = [['class', 'share of the pixels', 'IoU', 'accuracy']]
        for number, name in enumerate(names):
            union = true[number] + found[number] - right[number]
            table.append([name, f'{100 * true[number] / max(true.sum(), 1):.1f} %',
                          f'{100 * right[number] / union:.1f} %' if union else '',
                          f'{100 * right[number] / true[number]:.1f} %' if true[number] else ''])
        worst = sorted(judged, key=lambda entry: -entry[0])[:WORST]
        cells = []
        for wrong, prediction, truth in worst:
            caption = f'{Path(prediction["img_path"]).name[:30]}: {wrong:.0%} of the pixels wrong'
            cells.append(Cell(_draw(prediction, truth, len(names)), caption, wrong < 0.1))
        draw_sheet(cells, folder / 'mistakes.png', 'Image, truth, prediction', columns=2)
        numbers = [(key, f'{values[key]:.2f}') for key in ('mAcc', 'aAcc') if key in values]
        return Assessment(numbers, table, [
            Picture('confusion.png', 'What pixels are taken for, in per cent of the true class'),
            Picture('mistakes.png', 'Worst images')])

    def usage(self, cfg: Config, config: str, checkpoint: str, folder: Path) -> str:
        return f"""from mmseg.apis import init_model, inference_model, show_result_pyplot

model = init_model({config!r}, {checkpoint!r}, device='cpu')  # or 'cuda'
result = inference_model(model, 'image.jpg')
print(result.pred_sem_seg.data.unique())
show_result_pyplot(model, 'image.jpg', result, show=False, out_file='found.png')"""


@METRICS.register_module()
class KeepMasks(DumpResults):
    """Keeps the predicted classes of the pixels and not their scores, which are a number for each class."""

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what the report needs."""
        for sample in data_samples:
            self.results.append(dict(mask=sample['pred_sem_seg']['data'][0].cpu().numpy().astype(np.uint8),
                                     img_path=sample['img_path'], seg_map_path=sample['seg_map_path']))

    def compute_metrics(self, results: list) -> dict:
        """Write them."""
        mmengine.dump(results, self.out_file_path)
        return {}


def _folders(data: Path) -> tuple[Path, Path]:
    if not data.is_dir():
        raise FinetuneError(f'{data} is no folder: --task segmentation takes one with the folders images and masks.')
    found = [next((data / name for name in names if (data / name).is_dir()), None)
             for names in (IMAGE_FOLDERS, MASK_FOLDERS)]
    if None in found:
        inside = ', '.join(sorted(path.name for path in data.iterdir())[:6])
        raise FinetuneError(f'{data} needs a folder images and a folder masks, but holds {inside or "nothing"}.')
    return tuple(found)


def _names(data: Path) -> list[str]:
    file = data / 'classes.txt'
    if not file.is_file():
        return []
    try:
        names = [line.strip() for line in file.read_text(encoding='utf-8-sig').splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise FinetuneError(f'{file} is no text in UTF-8.') from error
    if len(names) < 2:
        raise FinetuneError(f'{file} has {len(names) or "no"} name: a segmentor needs at least two, one a line, of '
                            'which one may be the background.')
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FinetuneError(f'{file} names {twice!r} twice: give each class a name of its own.')
    return names


def _draw(prediction: dict, true: np.ndarray, count: int) -> np.ndarray:
    image = cv2.cvtColor(cv2.imread(prediction['img_path']), cv2.COLOR_BGR2RGB)
    hues = np.zeros((1, 256, 3), np.uint8)
    hues[0, :count] = [[round(180 * number / count), 200 if number else 0, 230 if number else 60]
                       for number in range(count)]
    colours = cv2.cvtColor(hues, cv2.COLOR_HSV2RGB)[0]
    masks = [(0.4 * image + 0.6 * colours[mask.astype(np.uint8)]).astype(np.uint8)
             for mask in (true, prediction['mask'])]
    return strip(np.stack([fit_into(part, 150, 180) for part in (image, *masks)]))


TASK = Segmentation
