"""Names of classes: from a file, the checkpoint, or the config."""
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

from .errors import PredictError

LOADERS = ('test_dataloader', 'val_dataloader', 'train_dataloader')


def class_count(model: Any) -> int | None:
    """The ``num_classes`` of the heads in a config's ``model``; None where there is none or they differ."""
    counts = set()

    def walk(part: Any) -> None:
        if isinstance(part, Mapping):
            if isinstance(part.get('num_classes'), int):
                counts.add(part['num_classes'])
            for value in part.values():
                walk(value)
        elif isinstance(part, (list, tuple)):
            for value in part:
                walk(value)

    walk(model)
    return counts.pop() if len(counts) == 1 else None


def read_labels(path: str | Path, count: int | None) -> list[str]:
    """Read a file with the name of one class a line.

    Args:
        path: The file.
        count: How many classes the model has; None if that is not known.

    Raises:
        PredictError: There is no such file, or it has another number of lines.
    """
    try:
        names = [line.strip() for line in Path(path).read_text(encoding='utf-8-sig').splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise PredictError(f'{path} can not be read as a list of labels: give a text file with one name a line'
                           ) from error
    while names and not names[-1]:
        names.pop()
    if count is not None and len(names) != count:
        raise PredictError(f'{path} has {len(names)} labels, but the model has {count} classes: give one name a line, '
                           'in the order of the classes')
    return names


def find_meta(cfg: Config, saved: Mapping | None, labels: str | Path | None) -> dict[str, list]:
    """Names and colours of the classes, the first of these that says so: the file of labels, the checkpoint, the
    config's data sets, ``labels.txt`` in the folder of their data, and a number for each class.

    Args:
        cfg: The config.
        saved: What the checkpoint keeps under ``meta``.
        labels: A file with one name a line.

    Returns:
        ``classes`` (names), and ``palette`` (``(r, g, b)`` of each) where it is known.
    """
    count = class_count(cfg.model)
    candidates = [_lower((saved or {}).get('dataset_meta') or saved or {}), *_config_metas(cfg)]
    known = [meta for meta in candidates if meta.get('classes') and count in (None, len(meta['classes']))]
    meta = {'classes': list(known[0]['classes'])} if known else {}
    if labels is not None:
        meta = {'classes': read_labels(labels, count)}
    elif not meta:
        meta = {'classes': _labels_of_data(cfg, count) or [f'class {label}' for label in range(count or 0)]}
    for candidate in candidates:
        palette = candidate.get('palette')
        if isinstance(palette, (list, tuple)) and palette and len(palette) == len(meta['classes']):
            return dict(meta, palette=[tuple(colour) for colour in palette])
    return meta


def random_palette(count: int) -> list[list[int]]:
    """``count`` colours ``[r, g, b]``, always the same."""
    return np.random.default_rng(42).integers(30, 256, (count, 3)).tolist()


def _lower(meta: Mapping) -> dict:
    return {str(key).lower(): value for key, value in meta.items()}


def _datasets(cfg: Config) -> list[Mapping]:
    found = []
    for loader in LOADERS:
        dataset = (cfg.get(loader) or {}).get('dataset')
        while isinstance(dataset, Mapping) and isinstance(dataset.get('dataset'), Mapping):  # a wrapper
            dataset = dataset['dataset']
        if isinstance(dataset, Mapping):
            found.append(dataset)
    return found


def _config_metas(cfg: Config) -> list[dict]:
    from mmengine.registry import DATASETS
    metas = []
    for dataset in _datasets(cfg):
        own = dataset.get('metainfo')
        cls = dataset['type']
        if isinstance(cls, str):
            with DATASETS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
                cls = registry.get(cls)
        meta = {**_lower(getattr(cls, 'METAINFO', None) or {}), **_lower(own if isinstance(own, Mapping) else {})}
        if isinstance(meta.get('classes'), str):  # the path of a file
            meta.pop('classes')
        metas.append(meta)
    return metas


def _labels_of_data(cfg: Config, count: int | None) -> list[str] | None:
    for dataset in _datasets(cfg):
        path = Path(dataset.get('data_root') or '') / 'labels.txt'
        if dataset.get('data_root') and path.is_file():
            try:
                return read_labels(path, count)
            except PredictError:  # of other classes
                continue
    return None
