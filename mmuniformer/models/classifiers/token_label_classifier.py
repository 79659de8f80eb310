"""MMPretrain's classifier for token labeling."""
from collections.abc import Mapping, Sequence

from mmpretrain.models.classifiers import ImageClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from mmuniformer.registry import MODELS

from ..heads.token_label_head import TokenTargets
from .mix_token import MixToken, swapped


@MODELS.register_module()
class TokenLabelClassifier(ImageClassifier):
    """An image classifier that mixes tokens, and their labels with them, in training.

    ``init_cfg=dict(type='Pretrained', checkpoint=...)`` takes a whole model of any layout that
    :func:`mmuniformer.checkpoint.load` knows, among them the official files with both classifiers; a classifier of
    another number of classes keeps its initial values.

    Args:
        args, kwargs: Arguments of MMPretrain's ``ImageClassifier``; the head a
            :class:`~mmuniformer.models.heads.token_label_head.TokenLabelClsHead`, the backbone a
            :class:`~mmuniformer.models.UniFormer`.
        mix_token: Alpha of the mixing, see :class:`~mmuniformer.models.classifiers.mix_token.MixToken`; None for none.
            Defaults to 1.
    """

    def __init__(self, *args, mix_token: float | None = 1., **kwargs):
        super().__init__(*args, **kwargs)
        self.mix_token = None if mix_token is None else MixToken(mix_token)
        if self.mix_token and not hasattr(self.backbone, 'patch_embed1'):
            raise ValueError("mix_token mixes what a UniFormer's `patch_embed1` gives, and "
                             f'{type(self.backbone).__name__} has none: set mix_token=None')

    def init_weights(self) -> None:
        """Follow ``init_cfg``."""
        init_cfg = self.init_cfg
        if not (isinstance(init_cfg, Mapping) and init_cfg.get('type') == 'Pretrained'):
            super().init_weights()
            return
        from mmuniformer.checkpoint import load
        self.init_cfg = None  # first what the checkpoint may not have: a classifier of other classes
        super().init_weights()
        self.init_cfg = init_cfg
        load(self, init_cfg['checkpoint'],
             **{key: value for key, value in init_cfg.items() if key not in ('type', 'checkpoint')})

    def loss(self, inputs: Tensor, data_samples: Sequence[DataSample]) -> dict[str, Tensor]:
        """Losses of images ``(B, 3, H, W)``, see :meth:`TokenLabelClsHead.loss`."""
        if self.mix_token is None:
            return super().loss(inputs, data_samples)
        targets = self.head.targets(data_samples, inputs.device)
        other = self.mix_token.draw(inputs.shape[-2:], targets.tokens.shape[-2:], inputs.device)
        with self.mix_token.mixing(self.backbone.patch_embed1, other):
            feats = self.extract_feat(inputs)
        image = targets.image.lerp(targets.image.flip(0), other.float().mean())
        return self.head.loss_of_targets(feats, TokenTargets(image, swapped(targets.tokens, other)))
