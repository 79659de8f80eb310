"""The units that data are checked, split and written in."""
import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .findings import Findings, FinetuneError

#: Names that say which recording a file was cut from: ``v_Walk_g03_c02`` (UCF101), ``dQw4w9WgXcQ_000010_000020``
#: (Kinetics), and ``street_clip4``, ``street-frame-0012`` and the like.
SOURCES = (
    re.compile(r'(v_.+_g\d+)_c\d+$'),
    re.compile(r'([\w-]{11})_\d{6}_\d{6}$'),
    re.compile(r'(.+?)[_.-](?:clip|part|seg|segment|frame|shot|crop)[_.-]?\d+$', re.IGNORECASE),
)


@dataclass
class Sample:
    """A video, an image, an image with its annotations.

    Attributes:
        path: Of the file or folder.
        stratum: What a split keeps the shares of: the class, or for several the rarest.
        source: The recording it is from, as far as that is known: samples of one are never parted.
        info: What the task's own code needs.
    """
    path: Path
    stratum: Hashable = None
    source: str | None = None
    info: dict[str, Any] = field(default_factory=dict)


def source_of(name: str, folder: str = '') -> str | None:
    """The recording that a file is from by its name (without ending), if it says so; ``folder`` tells names apart."""
    for pattern in SOURCES:
        match = pattern.match(name)
        if match:
            return f'{folder}/{match[1]}'
    return None


def find_copies(samples: Sequence[Sample], findings: Findings) -> list[Sample]:
    """Let copies of one file have one source; leave out copies of different strata, which can't all be right."""
    by_size = defaultdict(list)
    for sample in samples:
        if sample.path.is_file():
            by_size[sample.path.stat().st_size].append(sample)
    copies = defaultdict(list)
    for group in by_size.values():
        for sample in group if len(group) > 1 else ():
            copies[hashlib.sha256(sample.path.read_bytes()).hexdigest()].append(sample)
    contradictory = set()
    for key, group in copies.items():
        if len(group) < 2:
            continue
        names = ' = '.join(f'{sample.path.parent.name}/{sample.path.name}' for sample in group[:3])
        if len({sample.stratum for sample in group}) > 1:
            findings.bad('the same file in several classes', names)
            contradictory.update(map(id, group))
        else:
            findings.note('copies of one file (kept on one side of the split)', names)
            for sample in group:
                sample.source = group[0].source or key
    return [sample for sample in samples if id(sample) not in contradictory]


def split(samples: Sequence[Sample], share: float, seed: int, findings: Findings) -> tuple[list[Sample], list[Sample]]:
    """Set a share of each stratum aside, samples of one source together.

    Args:
        samples: All of them.
        share: What is to be set aside, over 0 and under 1.
        seed: The same samples and seed give the same split.
        findings: Takes a note of what could not be kept together.

    Returns:
        Samples for training and for validation, each in the order given.

    Raises:
        FinetuneError: There are too few samples to set any aside.
    """
    rng = np.random.default_rng(seed)
    sources = defaultdict(list)
    for index, sample in enumerate(samples):
        sources[sample.source or index].append(sample)
    strata = defaultdict(list)
    for group in sources.values():
        strata[Counter(sample.stratum for sample in group).most_common(1)[0][0]].append(group)

    held = set()
    for stratum in sorted(strata, key=str):
        groups = strata[stratum]
        count = sum(map(len, groups))
        if len(groups) == 1 and count > 1:
            findings.note('classes of a single source (its samples are on both sides of the split)', stratum)
            groups = [[sample] for sample in groups[0]]
        if len(groups) < 2:
            findings.note('classes with nothing to set aside (one sample only)', stratum)
            continue
        aim, taken = max(1, round(share * count)), 0
        order = [groups[i] for i in rng.permutation(len(groups))]
        for group in order[:-1]:  # one group stays for training
            # Big groups that would go far past the aim are passed over, unless nothing else is left.
            if taken < aim and (taken + len(group) <= 1.5 * aim or (taken == 0 and group is order[-2])):
                held.update(map(id, group))
                taken += len(group)
    if not held:
        raise FinetuneError(f'{len(samples)} sample(s) in all are too few to set any aside for validation: give --val.')
    return ([sample for sample in samples if id(sample) not in held],
            [sample for sample in samples if id(sample) in held])


def list_files(folder: Path, endings: Iterable[str]) -> list[Path]:
    """Files with one of the endings under a folder, in order, hidden ones left out."""
    endings = tuple(endings)
    return sorted(path for path in folder.rglob('*') if path.suffix.lower() in endings and path.is_file()
                  and not any(part.startswith('.') for part in path.relative_to(folder).parts))
