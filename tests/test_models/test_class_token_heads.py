"""The light models' classifiers: whole official models in MMPretrain and MMAction2, and the second loss in training."""
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from mmuniformer.checkpoint import load
from mmuniformer.checkpoint.convert import to_mm, to_official

TINY = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 24, 32], head_dim=8, mlp_ratio=3, conv_stem=True)
IMAGE, VIDEO = ('light_image_cls', ), ('light_video', 'light_video_layer_scale')


def image_classifier(arch=TINY, classes=6, **kwargs):
    pytest.importorskip('mmpretrain')
    import mmuniformer.models.heads.class_token_head  # noqa: F401
    init_default_scope('mmpretrain')
    from mmpretrain.registry import MODELS
    return MODELS.build(dict(
        type='ImageClassifier',
        backbone=dict(type='mmuniformer.UniFormerLight', arch=arch, out_norm='BN', out_indices=(3, ),
                      **{'out_cls_token': True, **kwargs}),
        head=dict(type='mmuniformer.ClassTokenClsHead', num_classes=classes, in_channels=arch['embed_dims'][-1],
                  loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'))))


def recognizer(arch=TINY, classes=6, **kwargs):
    pytest.importorskip('mmaction')
    import mmuniformer.models.heads.video_class_token_head  # noqa: F401
    init_default_scope('mmaction')
    from mmaction.registry import MODELS
    return MODELS.build(dict(
        type='Recognizer3D',
        data_preprocessor=dict(type='ActionDataPreprocessor'),
        backbone=dict(type='mmuniformer.UniFormerLight3D', arch=arch, **{'out_cls_token': True, **kwargs}),
        cls_head=dict(type='mmuniformer.ClassTokenI3DHead', num_classes=classes, in_channels=arch['embed_dims'][-1],
                      spatial_type='avg', dropout_ratio=0.5, label_smooth_eps=0.1, average_clips='prob')))


def _arch(meta):
    return dict(depths=meta['depth'], embed_dims=meta['embed_dim'], head_dim=meta['head_dim'],
                mlp_ratio=meta['mlp_ratio'][0], conv_stem=meta['conv_stem'],
                keep_ratios=meta['prune_ratio'][2:])


@pytest.mark.parametrize('through', ['load', 'converter'])
@pytest.mark.parametrize('name', IMAGE + VIDEO)
def test_official_models(shared, tmp_path, name, through):
    data = torch.load(shared / f'parity/{name}.pt', weights_only=True)
    meta, state = data['meta'], data['state_dict']
    arch = dict(_arch(meta), layer_scale=0.1 if any('gamma' in key for key in state) else None)
    model = (image_classifier if name in IMAGE else recognizer)(arch, meta['num_classes'])
    path = str(tmp_path / 'weights.pth')
    if through == 'load':
        torch.save(state, path)
        load(model, path, strict=True)
    else:
        torch.save(to_mm(state).content, path)
        load_checkpoint(model, path, strict=True)
    model.eval()
    with torch.no_grad():
        if name in IMAGE:
            logits = model(data['input'], mode='tensor')
        else:
            logits = model(data['input'].unsqueeze(1), stage='head', mode='tensor')
    assert (logits - data['output']).abs().max() < 1e-5 * data['output'].abs().max()
    back = to_official({'state_dict': model.state_dict()})
    content = back.content.get('model', back.content)
    assert not back.left_out and content.keys() == state.keys()
    assert all(torch.equal(content[key], state[key]) for key in state)


@pytest.mark.parametrize('name', ['light_image_cls', 'light_video'])
def test_fine_tuning_at_another_class_count_and_size(shared, tmp_path, name):
    """From an official model with both classifiers: the backbone is kept, the classifiers start anew, all trains."""
    data = torch.load(shared / f'parity/{name}.pt', weights_only=True)
    state = data['state_dict']
    torch.save({'model': state}, tmp_path / 'official.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'official.pth'))
    tests, build = (TestImages, image_classifier) if name in IMAGE else (TestVideos, recognizer)
    assert data['meta']['num_classes'] != 6
    model = build(_arch(data['meta']), 6, init_cfg=init_cfg)
    model.init_weights()
    kept = model.backbone.state_dict()
    assert {'cls_token', 'cls_upsample.weight', 'norm_cls.weight', 'blocks4.0.attn.qkv.weight'} <= set(kept)
    assert all(torch.equal(kept[key], state[key]) for key in kept)
    inputs = torch.randn(4, 3, 96, 160) if name in IMAGE else torch.randn(4, 1, 3, 6, 96, 160)
    assert inputs.shape[-2:] != data['input'].shape[-2:]
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = {key: parameter.detach().clone() for key, parameter in model.named_parameters()}
    losses = model.loss(inputs, tests().batch()[1])
    sum(loss for key, loss in losses.items() if 'loss' in key).backward()
    optimizer.step()
    still = [key for key, parameter in model.named_parameters() if torch.equal(parameter, before[key])]
    assert all(key.endswith(('proj.0.bias', 'proj.3.bias')) for key in still)  # a BatchNorm takes these out
    assert all(parameter.grad is not None and parameter.isfinite().all() for parameter in model.parameters())


def smooth_loss(logits, target):
    return -((target * 0.9 + 0.1 / target.shape[1]) * logits.log_softmax(1)).sum(1).mean()


class TestImages:

    def batch(self):
        from mmpretrain.structures import DataSample
        targets = torch.randn(4, 6).softmax(1)  # as mixing gives
        return targets, [DataSample().set_gt_score(target) for target in targets]

    def test_loss_is_the_mean_of_both(self):
        model = image_classifier().eval()
        images = torch.randn(4, 3, 64, 64)
        targets, samples = self.batch()
        losses = model.loss(images, samples)
        x, token = model.extract_feat(images)
        torch.testing.assert_close(losses['loss_cls'], 0.5 * smooth_loss(model.head.fc(x.mean((2, 3))), targets))
        torch.testing.assert_close(losses['loss_token'], 0.5 * smooth_loss(model.head.fc_token(token), targets))
        assert set(losses) == {'loss_cls', 'loss_token'}

    def test_trains_every_parameter(self):
        model = image_classifier()
        sum(model.loss(torch.randn(4, 3, 64, 64), self.batch()[1]).values()).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())

    def test_without_class_token(self):
        with pytest.raises(ValueError, match='give the backbone out_cls_token=True, and the model no neck'):
            image_classifier(out_cls_token=False)(torch.randn(1, 3, 64, 64), mode='tensor')


class TestVideos:

    def batch(self):
        from mmaction.structures import ActionDataSample
        targets = torch.randn(4, 6).softmax(1)
        return targets, [ActionDataSample().set_gt_label(target) for target in targets]

    def test_loss_is_the_mean_of_both(self):
        model = recognizer().eval()
        clips = torch.randn(4, 1, 3, 4, 64, 64)
        targets, samples = self.batch()
        losses = model.loss(clips, samples)
        x, token = model.backbone(clips[:, 0])
        torch.testing.assert_close(losses['loss_cls'],
                                   0.5 * smooth_loss(model.cls_head.fc_cls(x.mean((2, 3, 4))), targets))
        torch.testing.assert_close(losses['loss_token'],
                                   0.5 * smooth_loss(model.cls_head.fc_token(token), targets))

    def test_trains_every_parameter(self):
        model = recognizer()
        model.init_weights()
        losses = model.loss(torch.randn(4, 1, 3, 4, 64, 64), self.batch()[1])
        sum(loss for name, loss in losses.items() if 'loss' in name).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert 0.008 < model.cls_head.fc_token.weight.std() < 0.012

    def test_clips_in_turns(self):
        """Many views of one video, a few at a time."""
        from mmaction.structures import ActionDataSample
        model = recognizer().eval()
        clips = torch.randn(1, 5, 3, 4, 64, 64)
        scores = []
        for test_cfg in (None, dict(max_testing_views=2)):
            model.test_cfg = test_cfg
            with torch.no_grad():
                scores.append(model.predict(clips, [ActionDataSample()])[0].pred_score)
        torch.testing.assert_close(scores[0], scores[1])

    def test_without_class_token(self):
        model = recognizer(out_cls_token=False)
        with pytest.raises(ValueError, match=r'got \(1, 32, 2, 2, 2\): give the backbone out_cls_token=True'):
            model(torch.randn(1, 1, 3, 4, 64, 64), stage='head', mode='tensor')
