"""The video backbone against MMAction2's, with the same random weights."""
import pytest
import torch
from torch import nn

import mmuniformer  # noqa: F401  (mends the import of mmaction)
from mmuniformer.models import UniFormer3D

backbones = pytest.importorskip('mmaction.models.backbones')

DEPTHS, DIMS, HEAD_DIM = [1, 2, 3, 1], [16, 32, 48, 64], 16


@pytest.fixture
def pair():
    theirs = backbones.UniFormer(
        depth=DEPTHS, embed_dim=DIMS, head_dim=HEAD_DIM, pretrained2d=False, drop_path_rate=0.)
    for name, module in theirs.named_modules():
        # MMAction2's blocks use PyTorch's default eps where the release and this package use 1e-6.
        if isinstance(module, nn.LayerNorm) and name.startswith('blocks'):
            module.eps = 1e-6
        elif isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
    ours = UniFormer3D(dict(depths=DEPTHS, embed_dims=DIMS, head_dim=HEAD_DIM))
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return ours, theirs


def test_same_output_in_evaluation(pair):
    ours, theirs = (model.eval() for model in pair)
    x = torch.randn(2, 3, 8, 64, 96)
    with torch.no_grad():
        expected = theirs(x)
        assert (ours(x) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_same_gradients_and_statistics_in_training(pair):
    ours, theirs = (model.double().train() for model in pair)
    x = torch.randn(2, 3, 4, 64, 64, dtype=torch.float64)
    for model in (ours, theirs):
        output = model(x)
        (output * torch.arange(output.numel(), dtype=output.dtype).view_as(output).cos()).sum().backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()))
