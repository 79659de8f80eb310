"""Token labeling: inference as the release's, losses by hand, mixed tokens, and a training run that learns."""
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmuniformer.checkpoint import load
from mmuniformer.checkpoint.convert import to_mm

TINY = dict(depths=[1, 1, 2, 1], embed_dims=[8, 16, 24, 32], head_dim=8)
CLASSES = 6


@pytest.fixture(autouse=True)
def _mmpretrain():
    pytest.importorskip('mmpretrain')
    import mmuniformer.models.classifiers.token_label_classifier  # noqa: F401
    init_default_scope('mmpretrain')
    np.random.seed(0)


def build(arch=TINY, classes=CLASSES, **kwargs):
    from mmpretrain.registry import MODELS
    head = dict(type='mmuniformer.TokenLabelClsHead', num_classes=classes, in_channels=arch['embed_dims'][-1],
                **kwargs.pop('head', {}))
    return MODELS.build({
        **dict(type='mmuniformer.TokenLabelClassifier', head=head,
               backbone=dict(type='mmuniformer.UniFormer', arch=arch, out_norm='BN', out_indices=(3, ))), **kwargs})


def samples(number, size, classes=CLASSES):
    from mmpretrain.structures import DataSample
    made = []
    for index in range(number):
        sample = DataSample().set_gt_label(index % classes).set_gt_score(torch.randn(classes).softmax(0))
        sample.set_field(torch.randn(classes, *size).softmax(0).half(), 'token_score')
        made.append(sample)
    return made


def parity(shared):
    return torch.load(shared / 'parity/image_cls_token_labeling.pt', weights_only=True)


def parity_arch(meta):
    return dict(depths=meta['depth'], embed_dims=meta['embed_dim'], head_dim=meta['head_dim'])


class TestRelease:
    """Numbers of the official release."""

    @pytest.mark.parametrize('through', ['init_cfg', 'load', 'converter'])
    def test_logits(self, shared, tmp_path, through):
        from mmengine.runner import load_checkpoint
        data = parity(shared)
        path = str(tmp_path / 'official.pth')
        torch.save(data['state_dict'], path)
        init_cfg = dict(type='Pretrained', checkpoint=path, strict=True) if through == 'init_cfg' else None
        model = build(parity_arch(data['meta']), data['meta']['num_classes'], init_cfg=init_cfg)
        model.init_weights()
        if through == 'load':
            load(model, path, strict=True)
        if through == 'converter':
            torch.save(to_mm(data['state_dict']).content, path)
            load_checkpoint(model, path, strict=True)
        model.eval()
        with torch.no_grad():
            logits = model(data['input'], mode='tensor')
            predicted = model(data['input'], mode='predict')
        assert (logits - data['output']).abs().max() < 1e-5 * data['output'].abs().max()
        torch.testing.assert_close(torch.stack([each.pred_score for each in predicted]), logits.softmax(1))

    def test_fine_tuning_at_another_class_count_and_size(self, shared, tmp_path):
        """The backbone's weights come along; both classifiers start anew, as a new one does."""
        data = parity(shared)
        torch.save({'model': data['state_dict']}, tmp_path / 'official.pth')
        model = build(parity_arch(data['meta']), CLASSES,
                      init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'official.pth')))
        model.init_weights()
        for name, tensor in model.backbone.state_dict().items():
            assert torch.equal(tensor, data['state_dict'][name]), name
        for classifier in (model.head.fc, model.head.fc_aux):
            assert 0.01 < classifier.weight.std() < 0.03 and not classifier.bias.any()
        losses = model.loss(torch.randn(2, 3, 96, 128), samples(2, (3, 4)))
        sum(losses.values()).backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


class TestLoss:

    @pytest.mark.parametrize('weight', [0.5, 1.])
    def test_by_hand(self, weight):
        model = build(mix_token=None, head=dict(token_weight=weight))
        batch = samples(3, (2, 3))
        images = torch.randn(3, 3, 64, 96)
        model.eval()  # the same statistics twice
        losses = model.loss(images, batch)
        x, = model.extract_feat(images)
        smooth = lambda target: target * 0.9 + 0.1 / CLASSES  # noqa: E731
        image_loss = token_loss = 0.
        for i, sample in enumerate(batch):
            logits = model.head.fc(x[i].mean((1, 2)))
            image_loss -= (smooth(sample.gt_score) * F.log_softmax(logits, 0)).sum() / 3
            for row, column in np.ndindex(2, 3):
                logits = model.head.fc_aux(x[i, :, row, column])
                target = smooth(sample.token_score[:, row, column].float())
                token_loss -= (target * F.log_softmax(logits, 0)).sum() / (3 * 2 * 3)
        torch.testing.assert_close(losses['loss_cls'], image_loss)
        torch.testing.assert_close(losses['loss_token'], weight * token_loss)

    def test_wrong_targets(self):
        from mmpretrain.structures import DataSample
        model = build()
        images = torch.randn(2, 3, 64, 64)
        with pytest.raises(ValueError, match='2x2 tokens but 3x2 token labels: give TokenLabelTarget size=.2, 2.'):
            model.loss(images, samples(2, (3, 2)))
        with pytest.raises(ValueError, match='token labels are of 4 classes, the head of 6'):
            model.loss(images, samples(2, (2, 2), classes=4))
        with pytest.raises(ValueError, match='have no `gt_score`: the training pipeline needs mmuniformer.Load'):
            model.loss(images, [DataSample().set_gt_label(0)] * 2)

    def test_other_backbones(self):
        with pytest.raises(ValueError, match='ResNet has none: set mix_token=None'):
            build(backbone=dict(type='ResNet', depth=18))


class TestMixing:

    def test_equals_mixing_pixels(self):
        """A patch embedding without overlap gives the same as images with the boxes of pixels exchanged."""
        model = build().eval()
        images = torch.randn(4, 3, 96, 64)
        other = torch.zeros(3, 2, dtype=torch.bool)
        other[1:, :1] = True
        pixels = other.repeat_interleave(32, 0).repeat_interleave(32, 1)
        with model.mix_token.mixing(model.backbone.patch_embed1, other):
            mixed, = model.extract_feat(images)
        expected, = model.extract_feat(torch.where(pixels, images.flip(0), images))
        plain, = model.extract_feat(images)
        torch.testing.assert_close(mixed, expected)
        assert not torch.allclose(mixed, plain)
        torch.testing.assert_close(model.extract_feat(images)[0], plain)  # no longer mixed

    def test_no_token_sees_two_images(self):
        """Of overlapping patch embeddings, too: the first map is one image's or the other's."""
        model = build(arch=dict(TINY, conv_stem=True)).eval()
        maps = []
        model.backbone.patch_embed1.register_forward_hook(lambda module, inputs, output: maps.append(output))
        images = torch.randn(2, 3, 64, 64)
        other = torch.tensor([[True, False], [False, False]])
        model.extract_feat(images)
        with model.mix_token.mixing(model.backbone.patch_embed1, other):
            model.backbone.patch_embed1.register_forward_hook(lambda module, inputs, output: maps.append(output))
            model.extract_feat(images)
        plain, mixed = maps[0], maps[-1]
        torch.testing.assert_close(mixed[:, :8, :8], plain.flip(0)[:, :8, :8])
        torch.testing.assert_close(mixed[:, 8:], plain[:, 8:])
        torch.testing.assert_close(mixed[:, :, 8:], plain[:, :, 8:])

    def test_labels_go_with_their_tokens(self, monkeypatch):
        model = build()
        batch = samples(4, (2, 2))
        other = torch.tensor([[True, False], [False, False]])
        monkeypatch.setattr(model.mix_token, 'draw', lambda *args: other)
        given = []
        monkeypatch.setattr(model.head, 'loss_of_targets', lambda feats, targets: given.append(targets) or {})
        model.loss(torch.randn(4, 3, 64, 64), batch)
        targets, = given
        for i, partner in enumerate([3, 2, 1, 0]):
            mine, others = batch[i], batch[partner]
            torch.testing.assert_close(targets.image[i], 0.75 * mine.gt_score + 0.25 * others.gt_score)
            torch.testing.assert_close(targets.tokens[i, :, 0, 0], others.token_score[:, 0, 0].float())
            torch.testing.assert_close(targets.tokens[i, :, 1], mine.token_score[:, 1].float())
            torch.testing.assert_close(targets.tokens[i, :, 0, 1], mine.token_score[:, 0, 1].float())

    def test_boxes(self):
        """Rectangles of whole tokens, of every size, half of the image on the average as Beta(1, 1) has."""
        mix = build().mix_token
        areas = []
        for _ in range(400):
            other = mix.draw((224, 224), (7, 7), torch.device('cpu'))
            rows, columns = other.any(1), other.any(0)
            assert torch.equal(other, rows[:, None] & columns)
            areas.append(other.float().mean().item())
        assert min(areas) == 0 and max(areas) > 0.9 and 0.3 < np.mean(areas) < 0.5  # borders cut some off

    def test_half_precision(self):
        model = build()
        with torch.autocast('cpu', torch.bfloat16):
            losses = model.loss(torch.randn(4, 3, 64, 64), samples(4, (2, 2)))
        assert all(torch.isfinite(loss) and loss.dtype == torch.float32 for loss in losses.values())

    def test_compiled(self):
        model = build()
        batch = samples(4, (2, 2))
        images = torch.randn(4, 3, 64, 64)
        model.eval()
        losses = []
        for loss in (model.loss, torch.compile(model.loss, backend='aot_eager')):
            np.random.seed(1)
            losses.append(loss(images, batch))
        for name in losses[0]:
            torch.testing.assert_close(losses[1][name], losses[0][name])


COLOURS = np.random.RandomState(1).randint(40, 216, (CLASSES, 3))


def images_and_labels(folder: Path, number: int) -> None:
    """Images with a left and a right half of two classes' colours, and the label maps that say so."""
    rng = np.random.RandomState(0)
    for index in range(number):
        left, right = rng.permutation(CLASSES)[:2]
        label = left  # the image's class fills two thirds
        image = np.empty((72, 72, 3), np.uint8)
        image[:, :48], image[:, 48:] = COLOURS[left], COLOURS[right]
        classes = np.full((18, 18), left)
        classes[:, 12:] = right
        scores = np.full((1, 18, 18), 8.)
        for root in ('images', 'labels'):
            (folder / root / f'class{label}').mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'images/class{label}/{index}.png'), image)
        torch.save(torch.from_numpy(np.stack([scores, classes[None]])).half(),
                   folder / f'labels/class{label}/{index}.pt')


def runner_cfg(folder: Path, epochs: int) -> dict:
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmuniformer.LoadTokenLabel', folder=str(folder / 'labels')),
        dict(type='mmuniformer.TokenLabelAugment', transforms=[
            dict(type='RandomResizedCrop', scale=64, crop_ratio_range=(0.5, 1.)),
            dict(type='RandomFlip', prob=0.5, direction='horizontal')]),
        dict(type='mmuniformer.TokenLabelTarget', size=2, num_classes=CLASSES),
        dict(type='PackInputs', algorithm_keys=('token_score', )),
    ]
    test = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(64, 64)), dict(type='PackInputs')]

    def loader(pipeline, shuffle):
        return dict(
            batch_size=16, num_workers=0, drop_last=shuffle, sampler=dict(type='DefaultSampler', shuffle=shuffle),
            dataset=dict(type='CustomDataset', data_root=str(folder / 'images'), with_label=True, pipeline=pipeline))

    preprocessor = dict(type='ClsDataPreprocessor', mean=[128.] * 3, std=[64.] * 3, to_rgb=True, num_classes=CLASSES)
    return dict(
        model=dict(
            type='mmuniformer.TokenLabelClassifier', data_preprocessor=preprocessor,
            backbone=dict(type='mmuniformer.UniFormer', arch=TINY, out_norm='BN', out_indices=(3, )),
            head=dict(type='mmuniformer.TokenLabelClsHead', num_classes=CLASSES, in_channels=32)),
        work_dir=str(folder / 'work'), train_dataloader=loader(pipeline, True), val_dataloader=loader(test, False),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=epochs), val_cfg=dict(),
        val_evaluator=dict(type='Accuracy', topk=(1, )),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=4e-3)),
        custom_hooks=[dict(type='EMAHook', momentum=0.1, update_buffers=True, priority='ABOVE_NORMAL')],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1), checkpoint=None), log_level='WARNING',
        default_scope='mmpretrain', randomness=dict(seed=0), experiment_name=f'token_label_{folder.name}')


class TestRun:

    def test_learns(self, tmp_path):
        """On MMPretrain's Runner, from files: the losses go down, and images are classified."""
        images_and_labels(tmp_path, 48)
        runner = Runner.from_cfg(runner_cfg(tmp_path, 14))
        runner.train()
        log = next((tmp_path / 'work').rglob('scalars.json'))
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        steps = [line for line in lines if 'loss_token' in line]
        assert len(steps) == 14 * 3
        for name in ('loss_cls', 'loss_token'):
            first, last = (np.mean([step[name] for step in part]) for part in (steps[:3], steps[-6:]))
            assert last < 0.85 * first, name
        assert lines[-1]['accuracy/top1'] > 80

    def test_missing_labels_say_what_is_missing(self, tmp_path):
        from mmuniformer.datasets.transforms import TokenLabelError
        images_and_labels(tmp_path, 16)
        lost = next((tmp_path / 'labels').rglob('*.pt'))
        lost.unlink()
        with pytest.raises(TokenLabelError, match=f'has no label map: expected .*{lost.name}'):
            Runner.from_cfg(runner_cfg(tmp_path, 1)).train()
