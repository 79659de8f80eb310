"""MMPretrain's head for token labeling."""
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from mmpretrain.models.heads import ClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmuniformer.registry import MODELS

#: Share of the tokens' strongest vote in the scores of inference, as in the release.
VOTE = 0.5


class TokenTargets(NamedTuple):
    """Distributions over the classes: ``image`` of shape ``(B, classes)``, ``tokens`` of ``(B, classes, h, w)``."""
    image: Tensor
    tokens: Tensor


@MODELS.register_module()
class TokenLabelClsHead(ClsHead):
    """Classifies the image by the mean of its tokens, and each token (`arXiv 2104.10858
    <https://arxiv.org/abs/2104.10858>`_, Sec. 3.2).

    Takes the backbone's map, so there is no neck. In inference the scores are the image's and half of each class's
    largest score among the tokens. In training the targets come from label maps:
    :class:`~mmuniformer.datasets.transforms.TokenLabelTarget`, packed by
    ``dict(type='PackInputs', algorithm_keys=('token_score', ))``.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the map.
        token_weight: Weight of the tokens' mean loss beside the image's. Defaults to the paper's 0.5.
        loss: Config of the loss of soft labels, for the image and for tokens. Defaults to cross entropy with labels
            smoothed by 0.1.
        init_cfg: Initial values. Defaults to the release's: truncated normal of std 0.02, biases 0.
        kwargs: Further arguments of MMPretrain's ``ClsHead``.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 token_weight: float = 0.5,
                 loss: Mapping = dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
                 init_cfg: Mapping | None = dict(type='TruncNormal', layer='Linear', std=0.02),
                 **kwargs):
        super().__init__(loss=dict(loss), init_cfg=init_cfg, **kwargs)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.token_weight = token_weight
        self.fc = nn.Linear(in_channels, num_classes)
        self.fc_aux = nn.Linear(in_channels, num_classes)

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """Scores ``(B, classes)`` of inference, before the softmax, for maps whose last is ``(B, C, h, w)``."""
        image, tokens = self._scores(self.pre_logits(feats))
        return image + VOTE * tokens.amax(1)

    def _scores(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of the image ``(B, classes)`` and of its tokens ``(B, h * w, classes)``."""
        tokens = x.flatten(2).transpose(1, 2)
        return self.fc(tokens.mean(1)), self.fc_aux(tokens)

    def targets(self, data_samples: Sequence[DataSample], device: torch.device) -> TokenTargets:
        """Gather the targets of a batch.

        Raises:
            ValueError: When the samples have none, or of another number of classes.
        """
        for name in ('gt_score', 'token_score'):
            if name not in data_samples[0]:
                raise ValueError(f'the data samples have no `{name}`: the training pipeline needs '
                                 'mmuniformer.LoadTokenLabel, mmuniformer.TokenLabelTarget and '
                                 "dict(type='PackInputs', algorithm_keys=('token_score', ))")
        image = torch.stack([sample.gt_score for sample in data_samples]).to(device)
        tokens = torch.stack([sample.token_score.to(device, torch.float32) for sample in data_samples])
        if tokens.shape[1] != self.num_classes:
            raise ValueError(f'token labels are of {tokens.shape[1]} classes, the head of {self.num_classes}: give '
                             'TokenLabelTarget and the head the same num_classes')
        return TokenTargets(image, tokens)

    def loss(self, feats: tuple[Tensor, ...], data_samples: Sequence[DataSample]) -> dict[str, Tensor]:
        """Losses of maps whose last is ``(B, C, h, w)``: ``loss_cls`` of the images and ``loss_token``."""
        x = self.pre_logits(feats)
        return self.loss_of_targets(feats, self.targets(data_samples, x.device))

    def loss_of_targets(self, feats: tuple[Tensor, ...], targets: TokenTargets) -> dict[str, Tensor]:
        """As :meth:`loss`, for given targets.

        Raises:
            ValueError: When there are not as many token labels as tokens.
        """
        x = self.pre_logits(feats)
        if x.shape[-2:] != targets.tokens.shape[-2:]:
            raise ValueError(f'the image has {_by(x)} tokens but {_by(targets.tokens)} token labels: give '
                             f'TokenLabelTarget size={tuple(x.shape[-2:])}')
        image, tokens = self._scores(x)
        token_targets = targets.tokens.flatten(2).transpose(1, 2).flatten(0, 1)
        return dict(
            loss_cls=self.loss_module(image, targets.image),
            loss_token=self.token_weight * self.loss_module(tokens.flatten(0, 1), token_targets))


def _by(x: Tensor) -> str:
    return f'{x.shape[-2]}x{x.shape[-1]}'
