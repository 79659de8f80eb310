"""How much of the model fits the device: measured with the model and the data themselves."""
import gc
import os
from contextlib import suppress
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DATASETS, FUNCTIONS, MODELS, init_default_scope
from mmengine.runner import set_random_seed

from .findings import FinetuneError

#: Share of the memory that a training may take: data and fragments need some, and images may come larger.
CUDA_SHARE, CPU_SHARE = 0.8, 0.5
#: AdamW in float32: weights, gradients, two moments.
BYTES_A_WEIGHT = 16
MOST_WORKERS = 8


def precision(wanted: str) -> str | None:
    """The number type of mixed precision that this device has, at best ``wanted``; None for float32."""
    if get_device() != 'cuda':
        return None
    if wanted == 'bfloat16' and torch.cuda.get_device_capability()[0] < 8:
        return 'float16'
    return wanted


def workers() -> int:
    """Processes that load data: the cores but one, for each device."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    devices = max(1, torch.cuda.device_count())
    return max(1, min(MOST_WORKERS, (cores - 1) // devices))


def fit_batch(cfg: Config, most: int) -> tuple[int, str]:
    """The largest batch that trains on this device, of ``most``, halved until it fits.

    On a GPU steps of the real training are tried; on a CPU, where running out of memory would end the process, what one
    forward pass of two samples keeps for its backward pass is measured.

    Args:
        cfg: The config of the training, its batch size left to be found; the model is built anew and thrown away.
        most: Where to start.

    Returns:
        The batch size, and a sentence on how it came about.

    Raises:
        FinetuneError: Not even one sample fits.
    """
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    if not MMLogger.check_instance_created('finetune'):
        MMLogger.get_instance('finetune', log_level='WARNING')
    set_random_seed(0)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    model_cfg = dict(cfg.model)
    if cfg.get('data_preprocessor') is not None:
        model_cfg.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(model_cfg)
    model.train()
    collate = cfg.train_dataloader.get('collate_fn')
    collate = FUNCTIONS.get(collate['type']) if collate else pseudo_collate
    if get_device() == 'cuda':
        return _fit_cuda(cfg, model, dataset, collate, most)
    return _fit_cpu(model, dataset, collate, most)


def _fit_cuda(cfg: Config, model, dataset, collate, most: int) -> tuple[int, str]:
    model.cuda()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    total = torch.cuda.get_device_properties(0).total_memory
    batch = most
    while True:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        samples = [dataset[i % len(dataset)] for i in range(batch)]
        try:
            for _ in range(2):  # the second with the optimiser's moments
                model.train_step(collate(samples), wrapper)
            peak = torch.cuda.max_memory_reserved()
        except torch.cuda.OutOfMemoryError:
            peak = None
        if peak is not None and (batch == 1 or peak <= CUDA_SHARE * total):
            break
        if batch == 1:
            raise FinetuneError(f'One sample at a time does not fit the {total / 2**30:.0f} GiB of this GPU: give a '
                                'smaller --size, --frames or --arch.')
        gc.collect()
        batch //= 2
    del model, wrapper
    gc.collect()
    torch.cuda.empty_cache()
    used = f'{peak / 2**30:.1f} GiB'
    device = torch.cuda.get_device_name()
    return batch, f'{batch}: a training step took {used} of the {total / 2**30:.0f} GiB of {device}'


def _fit_cpu(model, dataset, collate, most: int) -> tuple[int, str]:
    kept = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    samples = [dataset[i % len(dataset)] for i in range(2)]
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        data = model.data_preprocessor(collate(samples), True)
        losses = model(**data, mode='loss')
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    each = sum(size for pointer, size in kept.items() if pointer not in weights) / 2
    del losses
    fixed = BYTES_A_WEIGHT * sum(p.numel() for p in model.parameters())
    free = available_memory()
    batch = most
    while batch > 1 and fixed + batch * each > CPU_SHARE * free:
        batch //= 2
    return batch, (f'{batch}: a sample keeps {each / 2**20:.1f} MiB for the backward pass, and {free / 2**30:.1f} GiB '
                   'of memory are free')


def available_memory() -> int:
    """Bytes that a new process may take: free ones of the machine, at most those left of the container's limit."""
    free = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_AVPHYS_PAGES') if hasattr(os, 'sysconf') else 4 * 2**30
    with suppress(OSError, StopIteration, ValueError):  # counts what caches would give back
        line = next(line for line in Path('/proc/meminfo').read_text().splitlines() if line.startswith('MemAvailable'))
        free = int(line.split()[1]) * 1024
    for limit, used in (('memory.max', 'memory.current'),
                        ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes')):
        with suppress(OSError, ValueError):
            folder = Path('/sys/fs/cgroup')
            free = min(free, max(0, int((folder / limit).read_text()) - int((folder / used).read_text())))
    return free
