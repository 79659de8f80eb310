"""Models by the name of their size alone, for counting without a config or a framework."""
from collections.abc import Sequence

from torch import Tensor, nn

from mmuniformer.models import UniFormer, UniFormer3D, UniFormerLight, UniFormerLight3D
from mmuniformer.models.backbones.arch import ARCHS, LIGHT_ARCHS


class Classifier(nn.Module):
    """A backbone and a linear classifier of the mean of its last map.

    Args:
        backbone: One that returns its last map alone.
        num_classes: Classes.
    """

    def __init__(self, backbone: nn.Module, num_classes: int):
        super().__init__()
        self.backbone = backbone
        self.head = nn.Linear(backbone.arch.embed_dims[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores ``(B, num_classes)`` of images or clips."""
        maps = self.backbone(x)
        return self.head((maps[-1] if isinstance(maps, tuple) else maps).flatten(2).mean(-1))


def bare_model(arch: str, shape: Sequence[int], attention: str | None = None, num_classes: int = 0) -> nn.Module:
    """A model of the family with its default settings.

    Args:
        arch: Name of its size.
        shape: Shape of a sample: ``(C, H, W)`` for the image model, ``(C, T, H, W)`` for the video model.
        attention: The backbone's argument of that name; None for its default.
        num_classes: Classes of a classifier to add; 0 for the backbone alone (of images: its four maps).

    Raises:
        ValueError: For an arch or attention that the backbone doesn't know.
    """
    if arch not in ARCHS and arch not in LIGHT_ARCHS:  # a backbone would name those of its own family only
        raise ValueError(f'unknown arch {arch!r}: choose one of {", ".join([*ARCHS, *LIGHT_ARCHS])}')
    if arch in LIGHT_ARCHS and attention:
        raise ValueError(f'the light models have one kind of attention: leave attention={attention!r} out for {arch}')
    image, video = (UniFormerLight, UniFormerLight3D) if arch in LIGHT_ARCHS else (UniFormer, UniFormer3D)
    backbone = video if len(shape) == 4 else image
    options = {'in_channels': shape[0], **({'attention': attention} if attention else {})}
    if not num_classes:
        return backbone(arch, **options)
    return Classifier(backbone(arch, out_indices=(3, ), out_norm='BN', **options), num_classes)
