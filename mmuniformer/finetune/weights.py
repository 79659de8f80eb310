"""The weights to start from."""
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, init_default_scope

from mmuniformer.apis.quiet import quiet
from mmuniformer.checkpoint import CheckpointError
from mmuniformer.checkpoint.published import PUBLISHED
from mmuniformer.checkpoint.reading import read
from mmuniformer.models.backbones.arch import ARCHS, LIGHT_ARCHS, Arch, resolve

from .findings import FinetuneError


def size_of(arch: str | Mapping[str, Any], names: Mapping[str, str], task: str) -> Arch:
    """The size of an arch that a task has a config for.

    Raises:
        FinetuneError: It has none, or the mapping is no arch.
    """
    if isinstance(arch, str) and arch not in names:
        known = ', '.join(names)
        raise FinetuneError(f'There is no config of arch {arch!r} for --task {task}: choose one of {known}.')
    try:
        return resolve(arch, light=arch in LIGHT_ARCHS if isinstance(arch, str) else 'keep_ratios' in arch)
    except ValueError as error:
        raise FinetuneError(str(error)) from error


def published(task: str, arch: str) -> str | None:
    """Where the published weights for a start lie: of Kinetics-400 for videos, of ImageNet-1K for all else."""
    width = {**ARCHS, **LIGHT_ARCHS}[arch].head_dim
    rows = [row for row in PUBLISHED if (row.arch, row.head_dim, row.layer_scale) == (arch, width, False)]
    fitting = [row for row in rows if task == row.task == 'video' and row.data == 'Kinetics-400'
               and row.frames in ('16x4', '16 sparse', '32 sparse')]
    fitting += [row for row in rows if row.task == 'image' and row.size == 224]
    # What a program can fetch goes before what is only on Google Drive.
    fitting.sort(key=lambda row: not (row.url or row.hub))
    return fitting[0].where if fitting else None


def try_weights(cfg: Config) -> None:
    """Load the weights to start from into the backbone of a config, once, as the training will.

    Raises:
        FinetuneError: They are of another network; says what differs.
    """
    if not cfg.model.backbone.get('init_cfg'):
        return
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    with quiet(MMLogger.get_current_instance()):
        try:
            MODELS.build(cfg.model.backbone).init_weights()
        except CheckpointError as error:
            raise FinetuneError(f"The weights can't be used: {error}") from error


def find_weights(task: str, arch: str | Mapping[str, Any], given: str | None) -> dict | None:
    """The backbone's ``init_cfg`` for ``--pretrained``; fetches the file, so that a missing one is known at once.

    Raises:
        FinetuneError: The file can't be had.
    """
    if given == 'none':
        return None
    source = given
    if source is None:
        source = published(task, arch) if isinstance(arch, str) else None
        if source is None:
            raise FinetuneError('There are no published weights of this arch: give --pretrained PATH, or --pretrained '
                                'none to train from scratch.')
        if source.startswith('https://drive.google.com'):
            raise FinetuneError(f'The published weights of {arch!r} are on Google Drive, for a browser ({source}): '
                                'save them and give --pretrained PATH, or --pretrained none to train from scratch.')
    try:
        read(source)
    except CheckpointError as error:
        kind = 'published weights' if given is None else 'weights'
        raise FinetuneError(f"The {kind} can't be had ({str(error).splitlines()[0]}): give --pretrained PATH of a "
                            'file that is here, or --pretrained none to train from scratch.') from error
    return dict(type='Pretrained', checkpoint=source)
