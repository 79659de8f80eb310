"""Token labels: reading, following the image, pooling; against references that work point by point."""
import math

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from torchvision.ops import roi_align

import mmuniformer.datasets  # noqa: F401
from mmuniformer.datasets.transforms.token_label import TokenLabelError
from mmuniformer.datasets.transforms.token_label_geometry import of_crop, of_flip
from mmuniformer.datasets.transforms.token_label_pooling import pooling_weights
from mmuniformer.registry import TRANSFORMS

CLASSES = 30


@pytest.fixture(autouse=True)
def _mmpretrain():
    init_default_scope('mmpretrain')
    np.random.seed(0)


def build(**cfg):
    return TRANSFORMS.build({**cfg, 'type': f"mmuniformer.{cfg['type']}"})


def label_map(height=18, width=18, top=5):
    """Scores and classes as the public files hold them."""
    classes = np.random.rand(CLASSES, height, width).argsort(0)[:top]
    return np.stack([np.random.randn(top, height, width) * 3, classes]).astype(np.float32)


def dense(label):
    """Scores of every class, ``(CLASSES, H, W)``, those left out 0."""
    scores = np.zeros((CLASSES, *label.shape[2:]), np.float32)
    for k, y, x in np.ndindex(*label.shape[1:]):
        scores[int(label[1, k, y, x]), y, x] = label[0, k, y, x]
    return scores


def softmax(scores):
    return torch.from_numpy(np.asarray(scores)).softmax(0).numpy()


class TestLoading:

    def test_public_format(self, tmp_path):
        """Half precision, a folder for each class, the stem of the image."""
        label = torch.from_numpy(label_map()).half()
        (tmp_path / 'n01440764').mkdir()
        torch.save(label, tmp_path / 'n01440764/n01440764_10026.pt')
        load = build(type='LoadTokenLabel', folder=str(tmp_path))
        results = load(dict(img_path='data/imagenet/train/n01440764/n01440764_10026.JPEG'))
        np.testing.assert_array_equal(results['token_label'], label.float().numpy())

    def test_missing(self, tmp_path):
        image = dict(img_path='train/cat/1.jpg')
        with pytest.raises(TokenLabelError, match=r'no folder .*nowhere of label maps.*`folder`'):
            build(type='LoadTokenLabel', folder=str(tmp_path / 'nowhere'))(image)
        with pytest.raises(TokenLabelError, match=r'train/cat/1.jpg has no label map: expected .*cat/1\.pt'):
            build(type='LoadTokenLabel', folder=str(tmp_path))(image)

    @pytest.mark.parametrize('content, said', [
        (torch.zeros(5, 18, 18), r'expected a tensor of shape \(2, K, H, W\).*got \(5, 18, 18\)'),
        (dict(a=1), 'got dict'),
        (b'not a file of PyTorch', 'is not a label map that PyTorch can read'),
    ])
    def test_other_files(self, tmp_path, content, said):
        (tmp_path / 'cat').mkdir()
        if isinstance(content, bytes):
            (tmp_path / 'cat/1.pt').write_bytes(content)
        else:
            torch.save(content, tmp_path / 'cat/1.pt')
        with pytest.raises(TokenLabelError, match=said):
            build(type='LoadTokenLabel', folder=str(tmp_path))(dict(img_path='train/cat/1.jpg'))

    def test_executes_nothing(self, tmp_path):

        class Trap:

            def __reduce__(self):
                return (tmp_path.joinpath('sprung').touch, ())

        (tmp_path / 'cat').mkdir()
        torch.save(Trap(), tmp_path / 'cat/1.pt')
        with pytest.raises(TokenLabelError):
            build(type='LoadTokenLabel', folder=str(tmp_path))(dict(img_path='train/cat/1.jpg'))
        assert not (tmp_path / 'sprung').exists()


class TestPooling:

    @pytest.mark.parametrize('size', [7, 12])
    @pytest.mark.parametrize('map_size', [(18, 18), (16, 18)])
    @pytest.mark.parametrize('box', [(0., 0., 1., 1.), (0.2, 0.4, 0.55, 0.3), (0.6, 0.1, 0.08, 0.9)])
    def test_crops_as_roi_align(self, size, map_size, box):
        """torchvision's operator, for one class after the other, rows and columns not exchanged."""
        left, top, width, height = box
        values = np.random.randn(3, *map_size).astype(np.float32)
        weights = pooling_weights(of_crop(top * 100, left * 100, height * 100, width * 100, (100, 100))[None],
                                  (size, size), map_size)
        ours = (values.reshape(3, -1) @ weights.T).reshape(3, size, size)
        scale = torch.tensor([map_size[1], map_size[0]] * 2)
        corners = torch.tensor([left, top, left + width, top + height]) * scale
        samples = math.ceil(max(map_size) / size)
        expected = roi_align(torch.from_numpy(values)[None], [corners[None]], size, 1., samples, aligned=True)[0]
        np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5)

    def test_averages_and_outside(self):
        """Every value counts in a map as large as the image; a cell outside of the map has none."""
        whole = pooling_weights(np.eye(3)[None], (7, 7), (18, 18))
        np.testing.assert_allclose(whole.sum(1), 1, atol=1e-6)
        assert (whole.sum(0) > 0).all()
        shift = np.array([[1., 0, 0.5], [0, 1, 0], [0, 0, 1]])
        shifted = pooling_weights(shift[None], (2, 2), (4, 4))
        np.testing.assert_allclose(shifted.sum(1), [1, 0, 1, 0], atol=1e-6)
        # Moved there and back, what left the image is lost.
        lost = pooling_weights(np.stack([np.eye(3), shift]), (2, 2), (4, 4))
        np.testing.assert_allclose(lost, whole_of(lost, (0, 2)), atol=1e-6)


class TestTarget:

    def test_is_the_softmax_of_pooled_scores(self):
        label = label_map()
        results = build(type='TokenLabelTarget', size=7, num_classes=CLASSES)(dict(token_label=label))
        scores = torch.from_numpy(dense(label))[None]
        pooled = roi_align(scores, [torch.tensor([[0., 0, 18, 18]])], 7, 1., 3, aligned=True)[0]
        assert results['token_score'].shape == (CLASSES, 7, 7) and results['token_score'].dtype == torch.float16
        torch.testing.assert_close(results['token_score'].float(), pooled.softmax(0), atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(results['gt_score'], pooled.mean((1, 2)).softmax(0), atol=1e-5, rtol=1e-5)

    def test_classes_that_are_not(self):
        label = label_map()
        label[1, 0, 3, 3] = CLASSES
        with pytest.raises(TokenLabelError, match=r'cat.jpg: its label map names classes 0 to 30.*allows 0 to 29'):
            build(type='TokenLabelTarget', size=7, num_classes=CLASSES)(dict(token_label=label, img_path='cat.jpg'))

    def test_oblong(self):
        results = build(type='TokenLabelTarget', size=(4, 6), num_classes=CLASSES)(dict(token_label=label_map(9, 12)))
        assert results['token_score'].shape == (CLASSES, 4, 6)


def whole_of(weights, cells):
    """Weights of these cells as they would be of an unmoved map."""
    whole = np.zeros_like(weights)
    whole[list(cells)] = pooling_weights(np.eye(3)[None], (2, 2), (4, 4))[list(cells)]
    return whole


def places(height, width):
    """An image whose first two channels are the places of its pixels, from 0 to 1; the third marks its inside."""
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing='ij')
    return np.stack([x, y, np.ones_like(x)], -1).astype(np.float32)


FILL = dict(pad_val=0, interpolation='bilinear', prob=1.)
MOVES = {
    'crop': [dict(type='RandomResizedCrop', scale=(80, 64), backend='cv2', interpolation='bilinear')],
    'flip': [dict(type='RandomFlip', prob=1., direction='horizontal')],
    'both flips': [dict(type='RandomFlip', prob=1., direction='diagonal')],
    'rotate': [dict(type='Rotate', angle=25., **FILL)],
    'rotate about a point': [dict(type='Rotate', angle=25., center=(10., 20.), scale=1.3, **FILL)],
    'shear x': [dict(type='Shear', magnitude=0.3, direction='horizontal', **FILL)],
    'shear y': [dict(type='Shear', magnitude=0.3, direction='vertical', **FILL)],
    'translate x': [dict(type='Translate', magnitude=0.25, direction='horizontal', **FILL)],
    'translate y': [dict(type='Translate', magnitude=0.25, direction='vertical', **FILL)],
    'passed over': [dict(type='Rotate', angle=25., pad_val=0, prob=0.)],
    'all': [
        dict(type='RandomResizedCrop', scale=(80, 64), backend='cv2', interpolation='bilinear'),
        dict(type='RandomFlip', prob=0.5, direction='horizontal'),
        dict(
            type='RandAugment', num_policies=3, total_level=10, magnitude_level=7, magnitude_std=0.5, policies=[
                dict(type='Rotate', magnitude_range=(0, 30), **FILL),
                dict(type='Shear', magnitude_range=(0, 0.3), direction='horizontal', **FILL),
                dict(type='Shear', magnitude_range=(0, 0.3), direction='vertical', **FILL),
                dict(type='Translate', magnitude_range=(0, 0.45), direction='horizontal', **FILL),
                dict(type='Translate', magnitude_range=(0, 0.45), direction='vertical', **FILL),
            ])
    ],
}


class TestFollowing:

    @pytest.mark.parametrize('name', MOVES)
    def test_matrix_is_what_happens_to_pixels(self, name):
        """The transforms themselves are the reference: they are given an image of places."""
        augment = build(type='TokenLabelAugment', transforms=MOVES[name])
        seen = 0
        for _ in range(8 if name == 'all' else 3):
            results = augment(dict(img=places(60, 90)))
            height, width = results['img'].shape[:2]
            came_from = places(height, width).reshape(-1, 3) @ results['token_label_origin'].swapaxes(1, 2)
            found = results['img'].reshape(-1, 3)
            inside = found[:, 2] > 0.999
            seen += inside.sum()
            # Interpolation errs by part of a pixel, at borders by half of one.
            assert np.abs(came_from[0, inside, :2] - found[inside, :2]).max() < 0.6 / 60
            # What is padding is known to be; interpolation blurs its border by a pixel.
            assert ((came_from[:, inside, :2] > -1.5 / 60) & (came_from[:, inside, :2] < 1 + 1.5 / 60)).all()
            margin = np.maximum(-came_from[..., :2], came_from[..., :2] - 1).max((0, 2))
            assert found[margin > 1.5 / 60, 2].max(initial=0) < 0.01
        assert seen > 2000

    def test_draws_as_the_transforms_alone(self):
        """Asking a step what it drew changes nothing in the image or the later draws."""
        from mmengine.dataset import Compose
        augment = build(type='TokenLabelAugment', transforms=MOVES['all'])
        image = places(60, 90)
        for seed in range(5):
            np.random.seed(seed)
            alone = Compose(MOVES['all'])(dict(img=image.copy()))
            then = np.random.rand()
            np.random.seed(seed)
            ours = augment(dict(img=image.copy()))
            assert np.random.rand() == then
            np.testing.assert_array_equal(ours['img'], alone['img'])

    def test_label_stays_on_its_object(self):
        """A square in the image and in its label map, all of it augmented: where the square is seen, its class is."""
        side = 180
        image = np.full((side, side, 3), 128, np.uint8)
        image[60:120, 30:90] = 255
        label = np.zeros((2, 1, 18, 18), np.float32)
        label[0, 0, 6:12, 3:9], label[1, 0, 6:12, 3:9] = 10, 1
        augment = build(type='TokenLabelAugment', transforms=[
            dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.4, 1.)), *MOVES['all'][1:]])
        target = build(type='TokenLabelTarget', size=7, num_classes=2)
        shares = []
        for _ in range(40):
            results = target(augment(dict(img=image.copy(), token_label=label)))
            square = (results['img'][..., 0] > 192).reshape(7, 32, 7, 32).mean((1, 3))
            shares.append(np.stack([square, results['token_score'][1].float().numpy()]).reshape(2, -1))
        square, score = np.concatenate(shares, 1)
        assert score[square > 0.99].min() > 0.99 and (square > 0.99).sum() > 50
        assert score[square == 0].max() < 0.9 and np.median(score[square == 0]) == 0.5 and (square == 0).sum() > 100

    def test_recipe(self):
        """The recipe's own steps, colours among them."""
        augment = build(type='TokenLabelAugment', transforms=[
            dict(type='RandomResizedCrop', scale=224, backend='pillow', interpolation='bicubic'),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='RandAugment', policies='timm_increasing', num_policies=2, total_level=10, magnitude_level=9,
                 magnitude_std=0.5, hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'))])
        image = np.random.randint(0, 256, (90, 120, 3), np.uint8)
        origins = [augment(dict(img=image.copy()))['token_label_origin'][0] for _ in range(40)]
        assert all(np.abs(np.linalg.det(origin)) > 0.01 for origin in origins)
        turned = [origin for origin in origins if abs(origin[0, 1]) + abs(origin[1, 0]) > 0]
        assert 0 < len(turned) < 40  # of the 15 operations, 3 turn or shear, each used half of the time

    def test_unknown_transform(self):
        with pytest.raises(ValueError, match="can't tell where CenterCrop moves"):
            build(type='TokenLabelAugment', transforms=[dict(type='CenterCrop', crop_size=8)])


def test_flipping_twice_is_nothing():
    for direction in ('horizontal', 'vertical', 'diagonal', None):
        np.testing.assert_array_equal(of_flip(direction) @ of_flip(direction), np.eye(3))
