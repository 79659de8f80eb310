"""MMPretrain's head for the light models."""
from collections.abc import Mapping, Sequence

from mmpretrain.models.heads import LinearClsHead
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmuniformer.registry import MODELS


@MODELS.register_module()
class ClassTokenClsHead(LinearClsHead):
    """Classifies by the mean of the tokens, and in training by the class token too, which learns to score tokens so.

    Takes what :class:`~mmuniformer.models.UniFormerLight` returns with ``out_cls_token=True``, so there is no neck. The
    loss is the mean of both classifiers' (arXiv 2201.09450, Sec. 3.5, and the release); inference uses the first.

    Args:
        num_classes: Number of classes.
        in_channels: Channels of the map and the class token.
        init_cfg: Initial values. Defaults to the release's: truncated normal of std 0.02, biases 0.
        kwargs: Further arguments of MMPretrain's ``LinearClsHead``.
    """

    def __init__(self,
                 num_classes: int,
                 in_channels: int,
                 init_cfg: Mapping | None = dict(type='TruncNormal', layer='Linear', std=0.02),
                 **kwargs):
        super().__init__(num_classes, in_channels, init_cfg=init_cfg, **kwargs)
        self.fc_token = nn.Linear(in_channels, num_classes)

    def pre_logits(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The mean ``(B, C)`` of the tokens of a map ``(B, C, h, w)``, which a class token ``(B, C)`` follows.

        Raises:
            ValueError: When there is no class token.
        """
        if len(feats) < 2 or feats[-1].ndim != 2 or feats[-2].ndim != 4:
            raise ValueError('ClassTokenClsHead takes a map (B, C, h, w) and a class token (B, C), got '
                             f'{[tuple(x.shape) for x in feats]}: give the backbone out_cls_token=True, and the model '
                             'no neck')
        return feats[-2].mean((-2, -1))

    def loss(self, feats: tuple[Tensor, ...], data_samples: Sequence[DataSample], **kwargs) -> dict[str, Tensor]:
        """Losses: ``loss_cls`` of the tokens' mean and ``loss_token`` of the class token, half of each."""
        losses = self._get_loss(self(feats), data_samples, **kwargs)
        losses['loss_cls'] = 0.5 * losses.pop('loss')  # MMEngine logs the sum as `loss`
        losses['loss_token'] = 0.5 * self._get_loss(self.fc_token(feats[-1]), data_samples, **kwargs)['loss']
        return losses
