"""A trained backbone made shorter for inference, with the same output up to rounding.

What is linear and stands beside a linear layer is multiplied into it, in float64:

=========================== ========================================= ================================================
folded                      into                                      why it is exact
=========================== ========================================= ================================================
BatchNorm of a local block  ``conv1``, ``mlp.fc1`` (1x1)              they have no padding; the 5x5 pads after ``conv1``
BatchNorm of a stem         the convolution before it                 it acts on that convolution's result
affine of a LayerNorm       ``attn.qkv``, ``t_attn.qkv``, ``mlp.fc1`` it acts on each token by itself
layer scale                 ``conv2``, ``attn.proj``, ``mlp.fc2``     it acts on their result
scale of the logits         the queries' part of ``qkv``              the logits are linear in the queries
the DPE's residual          the centre of its kernel                  a convolution of 1 at the centre is the identity
=========================== ========================================= ================================================

A linear map and what stands after it become one operation where there is one (:mod:`mmuniformer.ops.linear`): its GELU
in a feed-forward network, the residual's sum after that and after ``conv2``. So do a stem's convolution and its GELU.
Hooks on these modules are not called any more.

Three things stay, because folding them would change the output:

- the affine of a windowed block's first LayerNorm: windows are filled up with zeros after it, and in ``qkv`` it would
  act on these zeros too;
- layer scale in the blocks of light image models that shrink tokens: their way back needs the branches unscaled;
- the norms of outputs and of patch embeddings: after them comes no linear layer of the backbone without zero padding.
"""
import torch
from torch import Tensor, nn

from .layers import Attention, ConvPatchEmbed, DividedBlock, GlobalBlock, HourglassBlock, LocalBlock


@torch.no_grad()
def fold(backbone: nn.Module) -> None:
    """Fold every patch embedding and block of a backbone, in place.

    Raises:
        ValueError: For a BatchNorm without running statistics, which has nothing fixed to fold.
    """
    for module in list(backbone.modules()):
        if isinstance(module, ConvPatchEmbed):
            _fold_stem(module)
        elif isinstance(module, LocalBlock):
            _fold_local(module)
        elif isinstance(module, GlobalBlock):
            _fold_global(module)


def _fold_stem(stem: ConvPatchEmbed) -> None:
    for index, layer in enumerate(stem.proj):
        if _is_batch_norm(layer):
            _after(stem.proj[index - 1], *_affine(layer))
            stem.proj[index] = nn.Identity()
    for index, layer in enumerate(stem.proj):
        if isinstance(layer, nn.GELU):
            stem.proj[index - 2].gelu = True  # the convolution; between them was the norm
            stem.proj[index] = nn.Identity()


def _fold_local(block: LocalBlock) -> None:
    _fold_position_embedding(block.pos_embed)
    for name, layer in (('norm1', block.conv1), ('norm2', block.mlp.fc1)):
        _fold_norm(block, name, layer)
    _fold_layer_scale(block, block.conv2)
    block.fused = True


def _fold_global(block: GlobalBlock) -> None:
    _fold_position_embedding(block.pos_embed)
    if not block.window_size:
        _fold_norm(block, 'norm1', block.attn.qkv)
    _fold_norm(block, 'norm2', block.mlp.fc1)
    _fold_logit_scale(block.attn)
    if isinstance(block, DividedBlock):
        _fold_norm(block, 't_norm', block.t_attn.qkv)
        _fold_logit_scale(block.t_attn)
    if not (isinstance(block, HourglassBlock) and block.scale_recovery):
        _fold_layer_scale(block, block.attn.proj)
    block.fused = True


def _fold_position_embedding(conv: nn.Module) -> None:
    conv.weight[(slice(None), 0, *(side // 2 for side in conv.kernel_size))] += 1
    conv.holds_identity = True


def _fold_norm(block: nn.Module, name: str, layer: nn.Module) -> None:
    """Fold a norm of a block into the layer after it: a BatchNorm whole, of a LayerNorm its affine."""
    norm = getattr(block, name)
    if isinstance(norm, nn.LayerNorm):
        _before(layer, norm.weight, norm.bias)
        setattr(block, name, nn.LayerNorm(norm.normalized_shape, norm.eps, elementwise_affine=False))
    elif _is_batch_norm(norm):
        _before(layer, *_affine(norm))
        setattr(block, name, nn.Identity())


def _fold_layer_scale(block: nn.Module, projection: nn.Module) -> None:
    if not block.layer_scale:
        return
    for name, layer in (('gamma_1', projection), ('gamma_2', block.mlp.fc2)):
        _after(layer, getattr(block, name).flatten())
        delattr(block, name)
    block.layer_scale = False


def _fold_logit_scale(attn: Attention) -> None:
    queries = slice(0, attn.qkv.out_features // 3)
    attn.qkv.weight[queries] *= attn.scale
    attn.qkv.bias[queries] *= attn.scale
    attn.scale = 1.


def _is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


def _affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Scale and shift ``(C,)`` that a BatchNorm is in evaluation."""
    if norm.running_var is None:
        raise ValueError(f'{norm} keeps no running statistics (track_running_stats=False), so in evaluation it depends '
                         'on the batch and can not be folded')
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    shift = -norm.running_mean.double() * scale
    return scale, shift + norm.bias.double() if norm.affine else shift


def _before(layer: nn.Module, scale: Tensor, shift: Tensor) -> None:
    """Make ``layer``, a Linear or 1x1 convolution, what it was of ``scale * x + shift``."""
    weight = layer.weight.double().flatten(1)
    layer.bias += (weight @ shift.double()).to(layer.bias)
    layer.weight.copy_((weight * scale.double()).view_as(layer.weight))


def _after(layer: nn.Module, scale: Tensor, shift: Tensor | float = 0.) -> None:
    """Make ``layer`` give ``scale * y + shift`` where it gave ``y``."""
    scale = scale.double()
    layer.weight.copy_(layer.weight.double() * scale.view(-1, *(1, ) * (layer.weight.ndim - 1)))
    layer.bias.copy_(layer.bias.double() * scale + shift)
