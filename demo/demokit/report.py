"""The one file in which every demo leaves its numbers."""
import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """Outcome of a demo.

    Attributes:
        task (str): Name of the demo.
        metric (str): Name of the metric, as the framework's evaluator calls it.
        value (float): Its value on held-out data.
        baseline (float): Its value without learning, such as chance or that of the untrained model.
        others (dict): Further metrics by name, each ``{'value': ..., 'baseline': ...}``.
        one_frame_value (float, optional): Its value when the same model is shown one frame of each clip over and over;
            None where the inputs are no videos.
        seconds (float): Time from the first line to the last, data generation included; of an interrupted run, the
            time of all attempts up to their last checkpoint and of the last attempt.
        config (str): Path of the config.
        checkpoint (str): Path of the weights that were tested.
    """
    task: str
    metric: str
    value: float
    baseline: float
    others: dict[str, dict[str, float]]
    one_frame_value: float | None
    seconds: float
    config: str
    checkpoint: str

    def write(self, path: Path) -> None:
        """Write all attributes as a JSON object."""
        part = path.with_suffix('.part')
        part.write_text(json.dumps(asdict(self), indent=2) + '\n')
        part.replace(path)
