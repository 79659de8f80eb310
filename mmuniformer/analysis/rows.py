"""What the tables of performance hold: sets of rows, each a call of ``tools/analysis_tools/benchmark.py``."""
import re
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Goal:
    """What a row is to reach; None where nothing is asked.

    Attributes:
        ratio: How many times as long the peer takes, at least.
        memory: Peak memory over the peer's, at most.
        share: Share of a large matrix product's rate, at least.
    """
    ratio: float | None = None
    memory: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        section: Which table it is in.
        what: What is measured, unique within the section.
        arguments: The benchmark's, as on a command line.
        goal: What it is to reach. Defaults to nothing.
    """
    section: str
    what: str
    arguments: str
    goal: Goal = field(default_factory=Goal)

    @property
    def name(self) -> str:
        """Section and contents in letters that a file name can have."""
        return re.sub(r'[^a-z0-9]+', '-', f'{self.section} {self.what}'.lower()).strip('-')


def _pair(section: str, what: str, arguments: str, inference: Goal | None = None, training: Goal | None = None,
          batch: tuple[int, int] = (1, 1)) -> Iterator[Row]:
    """Inference with a folded backbone, and a training step; ``batch``: the batch size of each."""
    for step, option, goal, size in (('inference', '--deploy', inference, batch[0]),
                                     ('training', '--train', training, batch[1])):
        samples = (f', batch {size}', f' --batch-size {size}') if size > 1 else ('', '')
        yield Row(section, f'{what}{samples[0]}, {step}', f'{arguments}{samples[1]} {option}', goal or Goal())


_CLIP = '--shape 3 16 224 224'
_VIDEO = f'--arch small {_CLIP}'
_DENSE = '--arch small --attention hybrid --shape 800 1280'
_IMAGE = '--arch small --shape 224'
_LIGHT = '--arch xxs --shape 3 16 160 160'
_MMACTION = '--peer mmaction-uniformer'


def _cpu() -> Iterator[Row]:
    yield from _pair('Videos', 'S, 16x224x224', f'{_VIDEO} {_MMACTION}', Goal(2.1, share=0.92),
                     Goal(2.6, memory=0.6, share=0.75))
    yield Row('Videos', 'S, 16x224x224, bfloat16, inference', f'{_VIDEO} {_MMACTION} --dtype bfloat16 --deploy',
              Goal(1.6))
    yield Row('Videos', 'S, 16x224x224, compiled, inference', f'{_VIDEO} {_MMACTION} --compile --deploy')
    yield from _pair('Dense tasks', 'S hybrid, 800x1280', f'{_DENSE} --peer plain', Goal(1.7), Goal(2.0))
    yield from _pair('Images', 'S, 224', f'{_IMAGE} --peer plain', batch=(8, 8))
    yield from _pair('Light models', 'xxs, 16x160x160', f'{_LIGHT} --peer plain', Goal(1.5))
    yield from _others('')


def _cuda() -> Iterator[Row]:
    # Batch sizes with which both networks of a row fit into 80 GB.
    for dtype in ('bfloat16', 'float16', 'float32'):
        for compiled in ('', ' --compile'):
            reached = dtype == 'bfloat16' and not compiled
            yield from _pair('Videos', f'S, 16x224x224, {dtype}{_word(compiled)}',
                             f'{_VIDEO} {_MMACTION} --dtype {dtype}{compiled}', Goal(3.) if reached else None,
                             Goal(2.5, memory=0.5) if reached else None, batch=(32, 16))
    for section, what, arguments, batch in (
            ('Videos', 'B, 16x224x224', f'--arch base {_CLIP} {_MMACTION}', (32, 8)),
            ('Dense tasks', 'S hybrid, 800x1280', f'{_DENSE} --peer plain', (2, 2)),
            ('Images', 'S, 224', f'{_IMAGE} --peer plain', (128, 128)),
            ('Light models', 'xxs, 16x160x160', f'{_LIGHT} --peer plain', (64, 32))):
        for compiled in ('', ' --compile'):
            yield from _pair(section, f'{what}, bfloat16{_word(compiled)}', f'{arguments} --dtype bfloat16{compiled}',
                             batch=batch)
    yield from _others(' --dtype bfloat16', clips=(16, 8), images=(2, 2))


def _word(compiled: str) -> str:
    return ', compiled' if compiled else ''


def _others(options: str, clips: tuple[int, int] = (1, 1), images: tuple[int, int] = (1, 1)) -> Iterator[Row]:
    """Against what a user would pick instead: other work, so a ratio says nothing of how it is done."""
    for what, arguments, batch in (
            ('S hybrid, 800x1280, against Swin-T', f'{_DENSE} --peer swin-t', images),
            ('S, 16x224x224, against MViTv2-S', f'{_VIDEO} --peer mvit-s', clips),
            ('S, 16x224x224, against Video Swin-T', f'{_VIDEO} --peer video-swin-t', clips)):
        yield from _pair('Other networks', what, f'{arguments}{options}', batch=batch)


#: The sets by name. ``check`` takes a minute and only shows that everything works.
SETS: dict[str, tuple[Row, ...]] = {
    'cpu': tuple(_cpu()),
    'cuda': tuple(_cuda()),
    'check': tuple(_pair('Check', 'xxs, 4x64x64', '--arch xxs --shape 3 4 64 64 --peer plain --repeats 3',
                         Goal(1., memory=1.), batch=(1, 2))),
}
