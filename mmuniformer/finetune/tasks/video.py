"""Classes of videos, with MMAction2."""
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmengine.config import Config

from mmuniformer.models.backbones.arch import Arch
from mmuniformer.visualization import strip

from ..classes import ClassTask
from ..config import loaders
from ..findings import Findings, FinetuneError
from ..report import fit_into
from ..samples import Sample, list_files
from ..task import Plan
from .image import ENDINGS as FRAME_ENDINGS

ENDINGS = ('.mp4', '.avi', '.mov', '.mkv', '.webm', '.mpg', '.mpeg', '.m4v', '.wmv', '.flv', '.3gp')
#: Length in frames up to which a clip is spread over the whole video; of longer ones it is a stretch.
SPREAD = 300
STRIDE = 4


class Video(ClassTask):
    """Videos, or folders of their frames."""
    metric = 'acc/top1'
    zoo = dict(
        small='recognition/uniformer/uniformer-small_k400-pre_16x4x1_ucf101-rgb.py',
        small_plus='recognition/uniformer/uniformer-small_k400-pre_16x4x1_ucf101-rgb.py',
        base='recognition/uniformer/uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb.py',
        large='recognition/uniformer/uniformer-base_imagenet1k-pre_16x4x1_kinetics400-rgb.py',
        xxs='recognition/uniformer_light/uniformer-xxs_imagenet1k-pre_u16-160_kinetics400-rgb.py',
        xs='recognition/uniformer_light/uniformer-xs_imagenet1k-pre_u32-192_kinetics400-rgb.py')
    epochs = 25
    max_batch = 16
    rate = dict(pretrained=(5e-5, 128), scratch=(5e-4, 32))
    head_lr_mult = 10.
    unit = 'videos'

    def __init__(self, options):
        super().__init__(options)
        self.frames_named = None  # template and first number of the names of frames, (None, None) for videos
        self.length = None  # median, in frames

    # ------------------------------------------------------------------ reading
    def find(self, folder: Path) -> list[Path]:
        videos = list_files(folder, ENDINGS)
        # A folder with images in it is a video's frames.
        frames = sorted({path.parent for path in list_files(folder, FRAME_ENDINGS)} - {folder})
        return videos or frames

    def check(self, sample: Sample, findings: Findings) -> bool:
        name = f'{sample.path.parent.name}/{sample.path.name}'
        if sample.path.is_dir():
            return self._check_frames(sample, name, findings)
        if sample.path.suffix.lower() not in ENDINGS:
            findings.bad('files that are no videos by their names', name)
            return False
        import decord
        try:
            video = decord.VideoReader(str(sample.path), num_threads=1)
            count = len(video)
            video.get_batch([0, count // 2, count - 1])
        except Exception:  # decord's errors have no common base
            findings.bad('videos that can not be read', name)
            return False
        sample.info['frames'] = count
        return self._long_enough(sample, name, findings)

    def _check_frames(self, sample: Sample, name: str, findings: Findings) -> bool:
        files = sorted(path for path in sample.path.iterdir() if path.suffix.lower() in FRAME_ENDINGS)
        found = [re.fullmatch(r'(.*?)(\d+)(\.\w+)', path.name) for path in files]
        if not files or not all(found):
            findings.bad('folders of frames whose names are not numbered', name)
            return False
        digits = {len(match[2]) if match[2].startswith('0') or len({len(m[2]) for m in found}) == 1 else 0
                  for match in found}
        templates = {(match[1], match[3]) for match in found}
        numbers = sorted(int(match[2]) for match in found)
        if len(templates) > 1 or len(digits) > 1:
            findings.bad('folders of frames with names of several kinds', name)
            return False
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            findings.bad('folders of frames with numbers missing', name)
            return False
        if cv2.imread(str(files[0])) is None or cv2.imread(str(files[-1])) is None:
            findings.bad('folders of frames that can not be read', name)
            return False
        if len(str(sample.path).split()) > 1:
            findings.bad('folders of frames with a space in their path, which the list of frames can not hold', name)
            return False
        (prefix, ending), width = templates.pop(), digits.pop()
        number = f'{{:0{width}}}' if width else '{:d}'
        sample.info.update(frames=len(files), template=prefix.replace('{', '{{').replace('}', '}}') + number + ending,
                           start=numbers[0])
        return self._long_enough(sample, name, findings)

    def _long_enough(self, sample: Sample, name: str, findings: Findings) -> bool:
        if sample.info['frames'] >= self.options.frames:
            return True
        findings.bad(f'videos shorter than a clip of {self.options.frames} frames (--frames)',
                     f'{name} ({sample.info["frames"]})')
        return False

    def check_all(self, samples: list[Sample], findings: Findings) -> list[Sample]:
        """Frames and videos can't be mixed, and frames must be named in one way."""
        kinds = Counter(sample.path.is_dir() for sample in samples)
        if len(kinds) > 1:
            raise FinetuneError(f'There are {kinds[True]} folders of frames and {kinds[False]} videos: the data must '
                                'be all of one kind.')
        names = Counter((sample.info.get('template'), sample.info.get('start')) for sample in samples)
        if self.frames_named is None:
            self.frames_named = names.most_common(1)[0][0] if names else (None, None)
        usual = self.frames_named
        good = []
        for sample in samples:
            if (sample.info.get('template'), sample.info.get('start')) == usual:
                good.append(sample)
            else:
                findings.bad(f'folders of frames not named as most are ({usual[0]} from {usual[1]})',
                             f'{sample.path.parent.name}/{sample.path.name}')
        lengths = [sample.info['frames'] for sample in good]
        if lengths and self.length is None:
            self.length = float(np.median(lengths))
            findings.facts['frames of a video'] = f'{min(lengths)} to {max(lengths)}, median {self.length:.0f}'
        return good

    def line(self, sample: Sample, label: int) -> str:
        if sample.path.is_dir():
            return f'{sample.path} {sample.info["frames"]} {label}'
        return f'{sample.path}\t{label}'

    # ------------------------------------------------------------------ training
    def config(self, plan: Plan, base: Config, folder: Path, size: Arch) -> list[tuple[str, dict[str, Any]]]:
        side = self.options.size or base.val_pipeline[4]['crop_size']
        template, start = self.frames_named
        reader = dict(reader='RawFrame') if template else {}
        prefix = dict(img='') if template else dict(video='')
        dataset = dict(type='RawframeDataset', filename_tmpl=template, start_index=start) if template else dict(
            type='VideoDataset', delimiter='\t')
        dataset.update(data_prefix=prefix, metainfo=dict(classes=self.classes))
        train_pipeline = [
            dict(type='mmuniformer.ClipInit', **reader),
            self._sampling(),
            dict(type='mmuniformer.ClipDecode', **reader),
            dict(type='RandomResizedCrop', area_range=(0.4, 1.0), aspect_ratio_range=(0.75, 1.3333)),
            dict(type='Resize', scale=(side, side), keep_ratio=False),
            *([] if self.unmirrored else [dict(type='Flip', flip_ratio=0.5)]),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs')]
        val_pipeline = [
            dict(type='mmuniformer.ClipInit', **reader),
            dict(**self._sampling(), test_mode=True),
            dict(type='mmuniformer.ClipDecode', **reader),
            dict(type='Resize', scale=(-1, side)),
            dict(type='CenterCrop', crop_size=side),
            dict(type='FormatShape', input_format='NCTHW'),
            dict(type='PackActionInputs')]
        train = dict(**dataset, ann_file=str(folder.resolve() / 'train.txt'), pipeline=train_pipeline)
        val = dict(**dataset, ann_file=str(folder.resolve() / 'val.txt'), pipeline=val_pipeline, test_mode=True)
        evaluator = dict(_delete_=True, type='AccMetric', metric_list=('top_k_accuracy', 'mean_class_accuracy'),
                         metric_options=dict(top_k_accuracy=dict(topk=(1, ))))
        return [
            ('The network of the zoo with a new head; clips are not mixed: few in few epochs do not need it.',
             dict(model=dict(backbone=self.backbone(plan),
                             cls_head=dict(num_classes=len(self.classes), in_channels=size.embed_dims[3]),
                             data_preprocessor=dict(blending=None)))),
            ('The split is in the annotation files: path and number of the class, as in classes.txt. ' + (
                'A clip is spread over the whole video.' if self.length <= SPREAD else
                f'A clip is a stretch of {self.options.frames * STRIDE} frames, every {STRIDE}th of them.'),
             dict(classes=self.classes, train_pipeline=train_pipeline, val_pipeline=val_pipeline,
                  test_pipeline=val_pipeline, **loaders(plan, train, val, collate_fn=dict(type='pseudo_collate')))),
            ('', dict(val_evaluator=evaluator, test_evaluator=evaluator)),
        ]

    def _sampling(self) -> dict:
        if self.length <= SPREAD:
            return dict(type='UniformSample', clip_len=self.options.frames, num_clips=1)
        return dict(type='SampleFrames', clip_len=self.options.frames, frame_interval=STRIDE, num_clips=1,
                    out_of_bound_opt='repeat_last')

    # ------------------------------------------------------------------ reporting
    def paths(self, cfg: Config, predictions: Sequence[dict]) -> list[Path]:
        dataset = cfg.test_dataloader.dataset
        last = 1 if dataset.type == 'VideoDataset' else 2  # columns after the path
        lines = Path(dataset.ann_file).read_text(encoding='utf-8').splitlines()
        return [Path(re.split(r'\s', line[::-1], maxsplit=last)[last][::-1]) for line in lines]

    def picture(self, path: Path, count: int = 4) -> np.ndarray:
        """Some frames side by side."""
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if file.suffix.lower() in FRAME_ENDINGS)
            frames = [cv2.cvtColor(cv2.imread(str(files[i])), cv2.COLOR_BGR2RGB) for i in _spread(len(files), count)]
        else:
            import decord
            video = decord.VideoReader(str(path), num_threads=1)
            frames = video.get_batch(_spread(len(video), count)).asnumpy()
        return strip(np.stack([fit_into(frame, 100, 130) for frame in frames]))

    def usage(self, cfg: Config, config: str, checkpoint: str, folder: Path) -> str:
        frames = cfg.test_dataloader.dataset.type == 'RawframeDataset'
        options = ", input_format='rawframes'" if frames else ''
        return f"""from mmaction.apis import MMAction2Inferencer

inferencer = MMAction2Inferencer({config!r}, {checkpoint!r},
                                 label_file={str(folder / 'classes.txt')!r}{options})
scores = inferencer({"folder_of_frames" if frames else "video.mp4"!r})['predictions'][0]['rec_scores'][0]
names = open({str(folder / 'classes.txt')!r}).read().splitlines()
print(max(zip(scores, names)))"""


def _spread(length: int, count: int) -> list[int]:
    return np.linspace(0, length - 1, count).round().astype(int).tolist()


TASK = Video
