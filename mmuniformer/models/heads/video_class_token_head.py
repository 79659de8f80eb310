"""MMAction2's head for the light models."""
from typing import Any

from mmaction.models.heads import I3DHead
from mmengine.model.weight_init import normal_init
from torch import Tensor, nn

from mmuniformer.registry import MODELS


@MODELS.register_module()
class ClassTokenI3DHead(I3DHead):
    """Classifies by the mean of the tokens, and in training by the class token too, which learns to score tokens so.

    Takes what :class:`~mmuniformer.models.UniFormerLight3D` returns with ``out_cls_token=True``. The loss is the mean
    of both classifiers' (arXiv 2201.09450, Sec. 3.5, and the release); inference uses the first.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the map and the class token.
        kwargs: Further arguments of MMAction2's ``I3DHead``.
    """

    def __init__(self, num_classes: int, in_channels: int, **kwargs):
        super().__init__(num_classes, in_channels, **kwargs)
        self.fc_token = nn.Linear(in_channels, num_classes)

    def init_weights(self) -> None:
        """Initial values of both classifiers."""
        super().init_weights()
        normal_init(self.fc_token, std=self.init_std)

    def forward(self, x: tuple[Tensor, Tensor], **kwargs) -> Tensor:
        """Scores ``(B, classes)`` of inference for a map ``(B, C, t, h, w)``, which a class token ``(B, C)`` follows.

        Raises:
            ValueError: When there is no class token.
        """
        if isinstance(x, Tensor) or x[-1].ndim != 2:
            shapes = tuple(x.shape) if isinstance(x, Tensor) else [tuple(each.shape) for each in x]
            raise ValueError(f'ClassTokenI3DHead takes a map (B, C, t, h, w) and a class token (B, C), got {shapes}: '
                             'give the backbone out_cls_token=True')
        return super().forward(x[-2], **kwargs)

    def loss(self, feats: tuple[Tensor, Tensor], data_samples: list, **kwargs) -> dict[str, Any]:
        """Losses: ``loss_cls`` of the tokens' mean and ``loss_token`` of the class token, half of each."""
        losses = self.loss_by_feat(self(feats, **kwargs), data_samples)
        token = feats[-1] if self.dropout is None else self.dropout(feats[-1])
        of_token = self.loss_by_feat(self.fc_token(token), data_samples)
        losses['loss_cls'] = 0.5 * losses['loss_cls']
        losses['loss_token'] = 0.5 * of_token['loss_cls']
        return losses
