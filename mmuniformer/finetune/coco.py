"""COCO json files: what detection and pose have in common."""
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from mmuniformer.progress import progress

from .findings import Findings, FinetuneError
from .options import Options
from .samples import Sample, source_of
from .task import Task

KEYS = ('images', 'annotations', 'categories')
#: Keys of an image that may name the recording it is from.
SOURCE_KEYS = ('video_id', 'source', 'group')
#: Pixels by which a box may reach over the border without being mentioned: rounding.
BORDER = 1.5
OVER_BORDER = 'boxes that reach over the border of the image'
IMBALANCE = 10


class CocoTask(Task):
    """A COCO json and the images it names.

    Attributes:
        categories: Those that are trained, in their order in the json.
    """
    unit = 'images'

    def __init__(self, options: Options):
        super().__init__(options)
        self.categories: list[dict[str, Any]] = []

    # ------------------------------------------------------------------ reading
    def check_annotation(self, annotation: dict, image: dict, name: str, findings: Findings) -> bool:
        """What else a task asks of an annotation of an image."""
        return True

    def check_content(self, content: dict, file: Path) -> list[dict[str, Any]]:
        """The categories to train, or an error where the json is of another kind."""
        return content['categories']

    def read(self, data: Path, findings: Findings, is_val: bool = False) -> list[Sample]:
        """See the base class. A bad box is left out, its image is not."""
        file = _find_json(data)
        content = _load(file)
        categories = self.check_content(content, file)
        images = {image.get('id'): image for image in content['images']}
        folder = _image_folder(file, content['images'], self.options.images)
        good = {}
        for number, image in progress(list(images.items()), f'checking {file.name}'):
            if self._check_image(image, folder, findings):
                good[number] = image
        annotations = content['annotations']
        others = {category['id'] for category in content['categories']} - {category['id'] for category in categories}
        if others:
            count = len(annotations)
            annotations = [each for each in annotations if each.get('category_id') not in others]
            if count > len(annotations):
                findings.note('objects of categories that this task does not train', str(count - len(annotations)))
        annotations = self._by_image(annotations, images, good, categories, findings)
        if not is_val:
            self._choose_categories(file, categories, annotations, findings)
        else:
            self._fit_to_categories(categories, annotations, findings)
        return self._samples(good, annotations, folder)

    def _check_image(self, image: dict, folder: Path, findings: Findings) -> bool:
        name = str(image.get('file_name'))
        if not all(isinstance(image.get(key), (int, float)) for key in ('height', 'width')) or 'file_name' not in image:
            findings.bad('images without file_name, height or width in the json', f'id {image.get("id")}')
            return False
        if not (folder / name).is_file():
            findings.bad('images that are not there', name)
            return False
        picture = cv2.imread(str(folder / name), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if picture is None:
            findings.bad('images that can not be read', name)
            return False
        if picture.shape[:2] != (image['height'], image['width']):
            findings.bad('images of another size than the json says',
                         f'{name} ({picture.shape[1]}x{picture.shape[0]}, not {image["width"]}x{image["height"]})')
            return False
        return True

    def _by_image(self, annotations: list, images: dict, good: dict, categories: list,
                  findings: Findings) -> dict[Any, list]:
        known = {category['id'] for category in categories}
        found, over_before = defaultdict(list), findings.count(OVER_BORDER)
        for annotation in annotations:
            number = annotation.get('image_id')
            name = f'annotation {annotation.get("id")}'
            if number not in images:
                findings.bad('annotations of images that the json does not have', name)
            elif annotation.get('category_id') not in known:
                findings.bad('annotations of categories that the json does not have', name)
            elif number in good and self._check_box(annotation, images[number], name, findings) \
                    and self.check_annotation(annotation, images[number], name, findings):
                found[number].append(annotation)
        over, count = findings.count(OVER_BORDER) - over_before, sum(map(len, found.values()))
        if over and 2 * over >= count:
            findings.note("half of the boxes and more reach over the border: are they corners? COCO's are x, y, "
                          'width, height', f'{over} of {count}')
        return found

    def _check_box(self, annotation: dict, image: dict, name: str, findings: Findings) -> bool:
        box = annotation.get('bbox')
        name = f'{name} of {image["file_name"]}'
        if not (isinstance(box, list) and len(box) == 4 and all(map(is_number, box))):
            findings.bad('annotations without a box of four numbers', name)
            return False
        x, y, width, height = box
        if width < 1 or height < 1:
            findings.bad('boxes without width or height: of less than a pixel (in shares of the image?)', name)
            return False
        if x >= image['width'] or y >= image['height'] or x + width <= 0 or y + height <= 0:
            findings.bad('boxes outside the image', name)
            return False
        if min(x, y) < -BORDER or x + width > image['width'] + BORDER or y + height > image['height'] + BORDER:
            findings.note(OVER_BORDER, name)
        return True

    def _choose_categories(self, file: Path, categories: list, annotations: dict, findings: Findings) -> None:
        counts = Counter(annotation['category_id'] for group in annotations.values() for annotation in group)
        self.categories = [category for category in categories if counts[category['id']]]
        if not self.categories:
            raise FinetuneError(f'{file} has no annotation that can be trained with' + (
                ': see the faults marked BAD above.' if findings.serious else '.'))
        names = {category['id']: category['name'] for category in categories}
        for number, name in names.items():
            if not counts[number]:
                findings.note('classes without an object, which are left out', name)
        findings.facts['classes'] = str(len(self.categories))
        most, least = counts.most_common()[0], counts.most_common()[-1]
        findings.facts['objects of a class'] = f'{least[1]} ({names[least[0]]}) to {most[1]} ({names[most[0]]})'
        for number, count in counts.items():
            if most[1] >= IMBALANCE * count:
                findings.note('classes with at most a tenth of the objects of the largest',
                              f'{names[number]} ({count})')

    def _fit_to_categories(self, categories: list, annotations: dict, findings: Findings) -> None:
        """By name, since numbers may differ between files."""
        numbers = {category['name']: category['id'] for category in self.categories}
        names = {category['id']: category['name'] for category in categories}
        for number, group in annotations.items():
            kept = []
            for annotation in group:
                name = names[annotation['category_id']]
                if name in numbers:
                    kept.append({**annotation, 'category_id': numbers[name]})
                else:
                    findings.bad('objects of classes that the training data lack', name)
            annotations[number] = kept

    def _samples(self, images: dict, annotations: dict, folder: Path) -> list[Sample]:
        counts = Counter(annotation['category_id'] for group in annotations.values() for annotation in group)
        names = {category['id']: category['name'] for category in self.categories}
        samples = []
        for number, image in images.items():
            group = [annotation for annotation in annotations.get(number, ()) if annotation['category_id'] in names]
            rarest = min((annotation['category_id'] for annotation in group), key=counts.__getitem__, default=None)
            stratum = names.get(rarest, 'no object')
            source = next((f'{key} {image[key]}' for key in SOURCE_KEYS if image.get(key) not in (None, '')), None)
            path = folder / image['file_name']
            samples.append(Sample(path, stratum, source or source_of(path.stem), dict(image=image, annotations=group)))
        return samples

    # ------------------------------------------------------------------ writing
    def write(self, train: Sequence[Sample], val: Sequence[Sample], folder: Path) -> None:
        """``train.json`` and ``val.json``, whose file names are whole paths, and ``classes.txt``."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, samples in dict(train=train, val=val).items():
            content = dict(info={}, licenses=[], categories=self.categories, images=[], annotations=[])
            for number, sample in enumerate(samples, 1):
                content['images'].append({**sample.info['image'], 'id': number, 'file_name': str(sample.path)})
                for annotation in sample.info['annotations']:
                    area = annotation.get('area') or annotation['bbox'][2] * annotation['bbox'][3]
                    content['annotations'].append({
                        'iscrowd': 0, **annotation, 'image_id': number, 'area': area,
                        'id': len(content['annotations']) + 1})
            (folder / f'{name}.json').write_text(json.dumps(content))
        (folder / 'classes.txt').write_text('\n'.join(self.classes) + '\n', encoding='utf-8')

    @property
    def classes(self) -> list[str]:
        """Names of the categories."""
        return [category['name'] for category in self.categories]


def _find_json(data: Path) -> Path:
    if data.is_file():
        return data
    files = sorted(data.glob('*.json')) or sorted(data.glob('annotations/*.json'))
    if not files:
        raise FinetuneError(f'{data} holds no .json file, in it or in its folder annotations: give the COCO json.')
    if len(files) > 1:
        names = ', '.join(file.name for file in files[:5])
        raise FinetuneError(f'{files[0].parent} holds {len(files)} json files ({names}): give one as --data, and one '
                            'as --val.')
    return files[0]


def is_number(value: Any) -> bool:
    """Whether a value of a json is a number that can be reckoned with; Python also reads ``NaN`` and ``Infinity``."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def _load(file: Path) -> dict:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise FinetuneError(f'{file} is no json ({error}).') from error
    if isinstance(content, list):
        raise FinetuneError(f'{file} is a list, as files of detections are: a COCO json of annotations is an object '
                            f'with the keys {", ".join(KEYS)}.')
    missing = [key for key in KEYS if not isinstance(content.get(key), list)] if isinstance(content, dict) else KEYS
    if missing:
        has = ', '.join(list(content)[:6]) if isinstance(content, dict) else type(content).__name__
        raise FinetuneError(f'{file} is json of another kind: COCO annotations have the lists {", ".join(KEYS)}, it '
                            f'has {has or "nothing"}.')
    for key in KEYS:
        if not content[key]:
            raise FinetuneError(f'{file} has no {key}.')
        other = next((each for each in content[key] if not isinstance(each, dict)), None)
        if other is not None:
            raise FinetuneError(f'{file} has {json.dumps(other)[:40]} among its {key}, which must be objects.')
    for category in content['categories']:
        if 'id' not in category or category.get('name') in (None, ''):
            raise FinetuneError(f'{file} has a category without id or name: {json.dumps(category)[:80]}.')
        category['name'] = str(category['name'])
    for key, what in (('images', 'id'), ('categories', 'id'), ('categories', 'name')):
        value, count = Counter(str(each.get(what)) for each in content[key]).most_common(1)[0]
        if count > 1:
            raise FinetuneError(f'{file} has {count} {key} of the {what} {value}: give each its own.')
    return content


def _image_folder(file: Path, images: list[dict], given: Path | None) -> Path:
    """The folder in which most of the images are.

    Splits often count their files alike. Of several folders that hold as many, the nearest is taken: the json's own,
    one within it, the one above, one beside it; of several as near the one whose name is in the json's
    (``annotations/instances_val2017.json``, ``val2017/``).
    """
    if given:
        return given
    names = [str(image.get('file_name')) for image in images[:20]]
    most, best = 0, []
    for near in (file.parent, file.parent.parent):
        for folders in ([near], sorted(path for path in near.iterdir() if path.is_dir() and path.name[0] != '.')):
            counts = {folder: sum((folder / name).is_file() for name in names) for folder in folders}
            if max(counts.values(), default=0) > most:
                most = max(counts.values())
                best = [folder for folder, count in counts.items() if count == most]
    if not best:
        raise FinetuneError(f'The images of {file} ({names[0]}, ...) are neither beside it nor in a folder there: name '
                            'their folder by --images.')
    named = [folder for folder in best if folder.name.lower() in file.stem.lower()]
    if len(best) > 1 and not named:
        places = ', '.join(str(folder) for folder in best[:4])
        raise FinetuneError(f'The images of {file} ({names[0]}, ...) may be those of several folders ({places}): name '
                            'theirs by --images, or let the name of the json hold that of its folder.')
    return max(named or best, key=lambda folder: len(folder.name))
