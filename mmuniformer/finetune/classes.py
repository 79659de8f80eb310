"""What the two tasks of one class a sample have in common: videos and images."""
import csv
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config

from mmuniformer.progress import progress
from mmuniformer.visualization import Cell, draw_sheet

from .findings import Findings, FinetuneError
from .report import draw_confusion
from .samples import Sample, find_copies, source_of
from .task import Assessment, Picture, Task

IMBALANCE = 10
FEW = 10
MISTAKES = 16
PATH_COLUMNS, LABEL_COLUMNS, SOURCE_COLUMNS = ('path', 'file', 'filename'), ('label', 'class'), ('source', 'group')
SPLITS = re.compile(r'(train|val|valid|test|dev|eval)(ing|idation|uation)?([_-]?(set|data|images|videos|\d+))?',
                    re.IGNORECASE)
SIDED = re.compile(r'(^|[\W_])(left|right)([\W_]|$)', re.IGNORECASE)


class ClassTask(Task):
    """Folders of a class each, or a csv.

    Attributes:
        classes: Names, in order of their labels; those of the training data.
        unmirrored: Whether names of classes tell left from right, which a mirror would swap.
    """

    def __init__(self, options):
        super().__init__(options)
        self.classes: list[str] = []

    # ------------------------------------------------------------------ reading
    @abstractmethod
    def find(self, folder: Path) -> list[Path]:
        """The samples in the folder of a class."""

    @abstractmethod
    def check(self, sample: Sample, findings: Findings) -> bool:
        """Whether a sample can be trained with; says in the findings what is wrong with it."""

    def check_all(self, samples: list[Sample], findings: Findings) -> list[Sample]:
        """What only shows when all samples are known; returns those to go on with."""
        return samples

    def read(self, data: Path, findings: Findings, is_val: bool = False) -> list[Sample]:
        """See the base class."""
        samples = self._from_csv(data, findings) if data.is_file() else self._from_folders(data, findings)
        if not is_val:
            self.classes = sorted({sample.stratum for sample in samples}, key=_natural)
        samples = self._fit_to_classes(samples, findings)
        good = [sample for sample in progress(samples, f'checking {data.name}') if self.check(sample, findings)]
        good = find_copies(self.check_all(good, findings), findings)
        counts = Counter(sample.stratum for sample in good)
        empty = [name for name in self.classes if not counts[name]]
        for name in empty:
            (findings.note if is_val else findings.bad)(
                f'classes without {self.unit} to {"validate" if is_val else "train"} with', name)
        if not is_val:
            self._check_counts(counts, data, findings)
        return good

    def _from_folders(self, data: Path, findings: Findings) -> list[Sample]:
        if data in self.options.out.resolve().parents:
            raise FinetuneError(f'{self.options.out} is within the data, where each folder is a class: give an --out '
                                'outside of them.')
        folders = sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith('.'))
        if not folders:
            raise FinetuneError(f'{data} has no sub-folders: --task {self.options.task} takes one sub-folder a class, '
                                'or a csv with the columns path and label.')
        if all(SPLITS.fullmatch(folder.name) for folder in folders) and any(
                path.is_dir() for folder in folders for path in folder.iterdir()):
            names = ', '.join(folder.name for folder in folders)
            raise FinetuneError(f'{data} holds splits ({names}) and not classes: give the folder of one as --data, and '
                                'of another as --val.')
        samples = []
        for folder in folders:
            found = self.find(folder)
            if not found:
                findings.bad(f'classes without {self.unit}', folder.name)
            for path in found:
                # Folders in the folder of a class hold what belongs together.
                inner = path.parent.relative_to(folder).as_posix()
                source = f'{folder.name}/{inner}' if inner != '.' else source_of(path.stem, folder.name)
                samples.append(Sample(path, folder.name, source))
        return samples

    def _from_csv(self, file: Path, findings: Findings) -> list[Sample]:
        if file.suffix.lower() != '.csv':
            raise FinetuneError(f'{file} is neither a folder nor a .csv file, which --task {self.options.task} takes.')
        try:
            with file.open(newline='', encoding='utf-8-sig') as lines:
                reader = csv.DictReader(lines)
                columns = {name.strip().lower(): name for name in reader.fieldnames or ()}
                rows = list(reader)
        except (UnicodeDecodeError, csv.Error) as error:
            raise FinetuneError(f"{file} can't be read as a csv in UTF-8 ({error}).") from error
        path, label, source = (next((columns[name] for name in names if name in columns), None)
                               for names in (PATH_COLUMNS, LABEL_COLUMNS, SOURCE_COLUMNS))
        if path is None or label is None:
            raise FinetuneError(f'{file} needs the columns path and label in its first line (and may have source), '
                                f'separated by commas, but that has: {", ".join(columns) or "nothing"}.')
        samples = []
        for number, row in enumerate(rows, 2):
            name, stratum = (row[path] or '').strip(), (row[label] or '').strip()
            if not name or not stratum:
                findings.bad('lines of the csv without a path or a label', f'line {number}')
                continue
            place = file.parent / name
            if not place.exists():
                findings.bad('files that are not there', name)
                continue
            known = (row[source] or '').strip() if source else ''
            samples.append(Sample(place, stratum, known or source_of(place.stem, place.parent.name)))
        if rows and not any((row[label] or '').strip() for row in rows):
            raise FinetuneError(f'{file} has no labels: the column {label} is empty in each line.')
        return samples

    def _fit_to_classes(self, samples: list[Sample], findings: Findings) -> list[Sample]:
        fitting = []
        for sample in samples:
            if sample.stratum in self.classes:
                fitting.append(sample)
            else:
                findings.bad('classes of the validation data that the training data lack',
                             f'{sample.stratum} ({sample.path.name})')
        return fitting

    def _check_counts(self, counts: Counter, data: Path, findings: Findings) -> None:
        # A class that is left out gets no number.
        self.classes = [name for name in self.classes if counts[name]]
        if len(self.classes) < 2:
            few = f'one class only ({self.classes[0]})' if self.classes else 'no class'
            raise FinetuneError(f'{data} has {few} with {self.unit} that can be used: a classifier needs at least two.')
        findings.facts['classes'] = str(len(self.classes))
        most, least = counts.most_common()[0], counts.most_common()[-1]
        findings.facts[f'{self.unit} of a class'] = f'{least[1]} ({least[0]}) to {most[1]} ({most[0]})'
        if most[1] >= IMBALANCE * least[1]:
            findings.note(f'classes with at most a tenth of the {self.unit} of the largest', ', '.join(
                name for name, count in counts.items() if most[1] >= IMBALANCE * count))
        for name, count in counts.items():
            if count < FEW:
                findings.note(f'classes of fewer than {FEW} {self.unit}', f'{name} ({count})')
        if self.unmirrored:
            findings.note('classes named left or right: no mirroring in training',
                          ', '.join(name for name in self.classes if SIDED.search(name)))

    @property
    def unmirrored(self) -> bool:
        """Whether a mirror would turn one class into another."""
        return any(SIDED.search(name) for name in self.classes)

    # ------------------------------------------------------------------ writing
    def write(self, train: Sequence[Sample], val: Sequence[Sample], folder: Path) -> None:
        """``train.txt``, ``val.txt`` in the format of the framework's data set, and ``classes.txt``."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'classes.txt').write_text('\n'.join(self.classes) + '\n', encoding='utf-8')
        labels = {name: label for label, name in enumerate(self.classes)}
        for name, samples in dict(train=train, val=val).items():
            lines = (self.line(sample, labels[sample.stratum]) + '\n' for sample in samples)
            (folder / f'{name}.txt').write_text(''.join(lines), encoding='utf-8')

    @abstractmethod
    def line(self, sample: Sample, label: int) -> str:
        """A line of the annotation file."""

    # ------------------------------------------------------------------ reporting
    @abstractmethod
    def paths(self, cfg: Config, predictions: Sequence[dict]) -> list[Path]:
        """The tested samples, in the order of the predictions."""

    @abstractmethod
    def picture(self, path: Path) -> np.ndarray:
        """A picture of a sample, ``(H, W, 3)``, uint8, RGB, of one size for all."""

    def assess(self, cfg: Config, values: dict, predictions: Sequence[dict], folder: Path) -> Assessment:
        """Confusion matrix, recall and precision by class, and the surest of the mistakes."""
        names = (folder / 'data/classes.txt').read_text(encoding='utf-8').splitlines()
        true = np.array([int(prediction['gt_label']) for prediction in predictions])
        scores = np.stack([np.asarray(prediction['pred_score'], np.float64) for prediction in predictions])
        predicted = scores.argmax(axis=1)
        matrix = np.zeros((len(names), len(names)), int)
        np.add.at(matrix, (true, predicted), 1)
        draw_confusion(matrix, names, folder / 'confusion.png')
        pictures = [Picture('confusion.png', 'Confusion matrix')]

        wrong = np.flatnonzero(predicted != true)
        surest = sorted(wrong, key=lambda i: scores[i, true[i]] - scores[i, predicted[i]])[:MISTAKES]
        if surest:
            paths = self.paths(cfg, predictions)
            images = [self.picture(paths[i]) for i in surest]
            room = (images[0].shape[1] // 6 - len(' taken for  (100%)')) // 2
            short = [name if len(name) <= room else f'{name[:room - 1]}…' for name in names]
            cells = [Cell(image, f'{short[true[i]]} taken for {short[predicted[i]]} ({scores[i, predicted[i]]:.0%})',
                          False) for image, i in zip(images, surest)]
            draw_sheet(cells, folder / 'mistakes.png', f'{len(wrong)} of {len(true)} mistaken; these most confidently',
                       columns=2 if images[0].shape[1] > 400 else 4)
            pictures.append(Picture('mistakes.png', 'Worst mistakes'))
        rows = [['class', f'{self.unit}', 'recall', 'precision', 'most often taken for']]
        for label, name in enumerate(names):
            count, found = matrix[label].sum(), matrix[:, label].sum()
            others = np.where(np.arange(len(names)) == label, 0, matrix[label])
            rows.append([name, str(count), _share(matrix[label, label], count), _share(matrix[label, label], found),
                         f'{names[others.argmax()]} ({others.max()})' if others.any() else ''])
        largest = np.bincount(true, minlength=len(names)).max() / len(true)
        numbers = [(f'mistaken / {self.unit}', f'{len(wrong)} / {len(true)}'),
                   ('always the commonest class would give', f'{100 * largest:.1f} %')]
        return Assessment(numbers, rows, pictures)


def _share(part: int, whole: int) -> str:
    return f'{100 * part / whole:.1f} %' if whole else ''


def _natural(name: str) -> tuple:
    """2 before 10; what differs in zeros alone (1 and 01) has an order, too."""
    parts = [(0, int(part), '') if part.isdecimal() else (1, 0, part) for part in re.split(r'(\d+)', name) if part]
    return parts, name
