"""Datasets around datasets."""
import logging
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmuniformer.registry import DATASETS

from .transforms.loading import ClipReadError

#: Samples over which the share of unreadable ones is taken at least, so that a first bad one does not make it 100 %.
FEWEST_TRIED = 200


class TooManyUnreadable(RuntimeError):
    """More samples than tolerated can't be read. The message is one line that names some of them."""


@DATASETS.register_module()
class ReplaceUnreadable:
    """A training dataset in which another sample, drawn at random, stands for one that can't be read.

    A damaged file in the middle of an epoch is logged once, counted, never tried again, and replaced. Past a share of
    the samples it ends the training instead: then something else is wrong, the reader or the disk perhaps. The count is
    shared by the worker processes of a data loader; of several training processes each counts its own.

    Replaced are files for which a transform raises :class:`ClipReadError` (``mmuniformer.ClipInit`` and ``ClipDecode``
    do) or ``OSError``. Other errors pass, they are mistakes in the pipeline.

    Args:
        dataset: The dataset, or its config. Not one in test mode: a replaced sample would falsify the metric.
        max_share: Largest share of unreadable samples, of those tried so far or, where that is more, of the first
            200 (or of the whole dataset if it is smaller). 0 to 1. Defaults to 0.05.

    Raises:
        ValueError: For a share out of range or a dataset in test mode.
        TooManyUnreadable: From ``dataset[index]``, past the share.

    Examples:
        In a config with a base, whose dataset it replaces and wraps:

        >>> train_dataloader = dict(dataset=dict(
        ...     _delete_=True, type='mmuniformer.ReplaceUnreadable', max_share=0.02,
        ...     dataset={{_base_.train_dataloader.dataset}}))
    """

    def __init__(self, dataset: BaseDataset | dict, max_share: float = 0.05):
        if not 0 <= max_share < 1:
            raise ValueError(f'max_share must be at least 0 and under 1, got {max_share}')
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset
        if getattr(self.dataset, 'test_mode', False):
            raise ValueError('ReplaceUnreadable is for training: in a dataset with test_mode=True a replaced sample '
                             'would falsify the metric')
        self.max_share = max_share
        self._is_initialized = False
        self.full_init()

    @property
    def metainfo(self) -> dict:
        """The wrapped dataset's."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Load the annotations."""
        if self._is_initialized:
            return
        self.dataset.full_init()
        # In shared memory, where a data loader's workers find it: 1 for tried, 2 for unreadable.
        self._state = torch.zeros(len(self.dataset), dtype=torch.uint8).share_memory_()
        self._is_initialized = True

    def get_data_info(self, idx: int) -> dict:
        """The wrapped dataset's."""
        return self.dataset.get_data_info(idx)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def tried(self) -> int:
        """Samples tried so far."""
        return int((self._state > 0).sum())

    @property
    def unreadable(self) -> list[int]:
        """Indices of the samples that could not be read."""
        return (self._state == 2).nonzero().flatten().tolist()

    def __getitem__(self, idx: int) -> Any:
        wanted = idx
        while True:
            if self._state[idx] == 2:
                idx = self._another(wanted)
            try:
                sample = self.dataset[idx]
            except (ClipReadError, OSError) as error:
                self._state[idx] = 2
                self._report(error)
                continue
            self._state[idx].clamp_(min=1)
            return sample

    def _another(self, wanted: int) -> int:
        left = (self._state != 2).nonzero().flatten()
        if not len(left):
            raise TooManyUnreadable('No sample of the dataset can be read.')
        # numpy's generator is seeded for each worker by MMEngine
        return int(left[np.random.randint(len(left))])

    def _report(self, error: Exception) -> None:
        bad, tried = self.unreadable, self.tried
        text = str(error).strip().splitlines()[-1] if str(error) else type(error).__name__
        if len(bad) > self.max_share * max(tried, min(len(self), FEWEST_TRIED)):
            raise TooManyUnreadable(
                f"{len(bad)} of {tried} samples tried can't be read, more than max_share={self.max_share}. The last: "
                f'{text}. Others by index: {bad[:10]}') from error
        print_log(f"Replaced by another sample: {text}. So far {len(bad)} of {tried} samples tried can't be read.",
                  'current', logging.WARNING)
