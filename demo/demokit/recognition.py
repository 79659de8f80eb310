"""Videos whose classes differ only in motion."""
from collections.abc import Sequence
from pathlib import Path

import decord
import numpy as np
from mmengine.config import Config

from mmuniformer.datasets.generated import MOTIONS, generate_motion
from mmuniformer.visualization import Cell, strip

from .task import Task


class Recognition(Task):
    """A UniFormer3D learns eight motions."""
    name = 'recognition'
    config = 'configs/demo/uniformer-demo_recognition.py'
    metric = 'acc/top1'
    floor = 0.95

    def generate(self, root: Path, **arguments) -> None:
        generate_motion(root, **arguments)

    def baseline(self, cfg: Config, folder: Path) -> tuple[str, dict[str, float]]:
        return 'chance', {self.metric: 1 / len(MOTIONS)}

    def one_frame(self, cfg: Config) -> Config:
        # An interval of 0 between the frames of a clip is the same frame again and again.
        for step in cfg.test_dataloader.dataset.pipeline:
            if step.type == 'SampleFrames':
                step.frame_interval = 0
        return cfg

    def cells(self, cfg: Config, predictions: Sequence[dict]) -> list[Cell]:
        """Two clips of each motion and up to four more that were taken for another one."""
        names = list(MOTIONS)
        root = Path(cfg.data_root)
        paths = [root / line.rpartition(' ')[0] for line in (root / 'val.txt').read_text().splitlines()]
        true = [int(prediction['gt_label']) for prediction in predictions]
        predicted = [int(prediction['pred_label']) for prediction in predictions]
        chosen = [i for label in range(len(names)) for i in [i for i in range(len(true)) if true[i] == label][:2]]
        chosen += [i for i in range(len(true)) if predicted[i] != true[i] and i not in chosen][:4]
        return [Cell(_frames(paths[i]), f'true: {names[true[i]]}    predicted: {names[predicted[i]]}',
                     true[i] == predicted[i]) for i in chosen]


def _frames(path: Path, count: int = 6) -> np.ndarray:
    """Some frames of a video side by side."""
    video = decord.VideoReader(str(path))
    return strip(video.get_batch(np.linspace(0, len(video) - 1, count).round().astype(int)).asnumpy())
