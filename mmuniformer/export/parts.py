"""What of a framework's model can be one graph: a tensor in, tensors out."""
from torch import Tensor, nn

from mmuniformer.apis import PredictError

PARTS = ('classifier', 'backbone')


class Classifier(nn.Module):
    """A whole classifier of images or clips as a function of one tensor.

    Args:
        model: An ``ImageClassifier`` of MMPretrain or a recognizer of MMAction2.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.is_video = _is_recognizer(model)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Scores ``(B, classes)`` before the softmax, of ``(B, 3, H, W)`` or ``(B, 3, T, H, W)``, normalised."""
        if self.is_video:  # each sample is one view of a video; the head's losses have no arguments here
            scores = self.model(x[:, None], mode='tensor', stage='head')
            return (scores[0] if isinstance(scores, tuple) else scores, )
        return (self.model(x, mode='tensor'), )


class Backbone(nn.Module):
    """A backbone as a function from one tensor to a tuple of its maps.

    Args:
        backbone: Any backbone.
    """

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Maps ``(B, C, *S)`` of ``(B, 3, H, W)`` or ``(B, 3, T, H, W)``, normalised."""
        maps = self.backbone(x)
        return tuple(maps) if isinstance(maps, (tuple, list)) else (maps, )


def choose_part(model: nn.Module, part: str | None = None) -> Classifier | Backbone:
    """What of a model becomes a file.

    Args:
        model: A model of one of the frameworks.
        part: ``'classifier'`` or ``'backbone'``. Defaults to the classifier where the model is one, else the backbone.

    Raises:
        PredictError: A classifier is asked for and the model is none, or it has no backbone.
    """
    name = type(model).__name__
    is_classifier = _is_recognizer(model) or 'ImageClassifier' in _bases(model)
    if part == 'classifier' and not is_classifier:
        raise PredictError(f'{name} is no classifier of images or clips: of it only the backbone can be written '
                           '(--part backbone), its heads need mmdeploy (docs/export.md)')
    if is_classifier and part != 'backbone':
        return Classifier(model).eval()
    if not isinstance(getattr(model, 'backbone', None), nn.Module):
        raise PredictError(f'{name} has no backbone to write: give the config of a classifier, detector, segmentor or '
                           'pose estimator')
    return Backbone(model.backbone).eval()


def _is_recognizer(model: nn.Module) -> bool:
    return 'BaseRecognizer' in _bases(model)


def _bases(model: nn.Module) -> set[str]:
    """Names of the classes that a model is of: no framework is imported to ask."""
    return {cls.__name__ for cls in type(model).__mro__}
