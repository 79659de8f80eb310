"""A tiny UniFormer classifier of clips in memory, trained by a real Runner. Marked clips make it go wrong."""
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.runner import Runner
from torch import nn

from mmuniformer.models import UniFormer3D

#: A clip filled with this takes the path of :class:`Fragile` that goes wrong.
MARK = 123.
ARCH = dict(depths=[1, 1, 1, 1], embed_dims=[8, 8, 16, 16], head_dim=8)


class Fragile(nn.Module):
    """Changes nothing, but for marked clips its output (or its gradient) is not finite."""

    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, x, marked):
        if not marked.any() or self.way is None:
            return x
        if self.way == 'forward':
            return x / marked.logical_not().to(x)[:, None]
        # the root of 0 is finite, its derivative is not
        return x + ((x * marked[:, None].to(x)).pow(2) * 0).sqrt()


@MODELS.register_module(force=True)
class ToyClassifier(BaseModel):

    def __init__(self, way=None, with_cp=False):
        super().__init__()
        self.backbone = UniFormer3D(arch=ARCH, with_cp=with_cp)
        self.neck = nn.Sequential(nn.Linear(16, 16), nn.ReLU(inplace=True))
        self.fragile = Fragile(way)
        self.fc = nn.Linear(16, 2)

    def forward(self, inputs, labels, mode='loss'):
        if mode == 'predict':
            return [dict() for _ in inputs]
        marked = inputs.flatten(1).eq(MARK).all(1)
        x = self.neck(self.backbone(inputs.clamp(max=1.)).amax((2, 3, 4)))  # a mean would be constant after BN
        return dict(loss_cls=nn.functional.cross_entropy(self.fc(self.fragile(x, marked)), labels))


@DATASETS.register_module(force=True)
class ToyClips(BaseDataset):

    def __init__(self, length=8, marked=(), poison=(), **kwargs):
        self.length, self.marked, self.poison = length, tuple(marked), tuple(poison)
        super().__init__(**kwargs)

    def load_data_list(self):
        return [dict(number=number) for number in range(self.length)]

    def prepare_data(self, idx):
        clip = torch.rand(3, 4, 32, 64, generator=torch.Generator().manual_seed(idx))
        if idx in self.marked:
            clip.fill_(MARK)
        if idx in self.poison:
            clip[0, 0, 0, 0] = torch.nan
        return dict(inputs=clip, labels=idx % 2)


@METRICS.register_module(force=True)
class ToyScore(BaseMetric):
    """Scores set in advance, one an epoch."""

    def __init__(self, scores):
        super().__init__()
        self.scores = iter(scores)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(acc=next(self.scores))


def config(work_dir, marked=(), poison=(), length=8, epochs=1, hooks=(), checkpoint=None, batch_size=1, **changes):
    cfg = dict(
        model=dict(type='ToyClassifier'),
        train_dataloader=dict(
            batch_size=batch_size, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=dict(type='ToyClips', length=length, marked=marked, poison=poison),
            collate_fn=dict(type='default_collate')),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)),
        custom_hooks=list(hooks),
        default_hooks=dict(
            checkpoint=checkpoint or dict(type='mmuniformer.SafeCheckpointHook', interval=1),
            logger=dict(type='LoggerHook', interval=1)),
        visualizer=None,
        randomness=dict(seed=0),
        experiment_name=f'toy{abs(hash(str(work_dir)))}',
        work_dir=str(work_dir))
    cfg.update(changes)
    return Config(cfg)


def runner(work_dir, **kwargs) -> Runner:
    return Runner.from_cfg(config(work_dir, **kwargs))
