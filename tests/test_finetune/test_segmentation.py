"""From folders of images and masks to a segmentor, and what is wrong with masks."""
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmuniformer.datasets.generated.masks import generate_masks
from mmuniformer.finetune import FinetuneError

from .conftest import LEARNER, pictures, reported, run, snippet, untrained

#: A neck and a head as small as the network.
HEADS = {'model.neck.out_channels': 16, 'model.decode_head.in_channels': [16, 16, 16, 16],
         'model.decode_head.channels': 16}


def draw(root: Path, count: int = 10, names: str = 'ground\ncircle\nunder a stripe\n') -> Path:
    """``root/images/N.jpg`` and ``root/masks/N.png``: a circle and a stripe of ignored pixels."""
    for folder in ('images', 'masks'):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        image, mask = np.full((50, 70, 3), 60, np.uint8), np.zeros((50, 70), np.uint8)
        centre = rng.integers(15, 35, 2).tolist()
        cv2.circle(image, centre, 12, (40, 200, 220), -1)
        cv2.circle(mask, centre, 12, 1, -1)
        mask[40:44], mask[44:] = 255, 2
        cv2.imwrite(str(root / f'images/{number}.jpg'), image)
        cv2.imwrite(str(root / f'masks/{number}.png'), mask)
    if names:
        (root / 'classes.txt').write_text(names)
    return root


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return draw(tmp_path_factory.mktemp('masks') / 'data')


def test_train(data, tmp_path):
    report = run('segmentation', data, tmp_path / 'out', epochs=1, size=64, batch_size=4, cfg_options=HEADS)
    text = report.read_text()
    for line in ('mIoU', 'aAcc', '| circle |', '| under a stripe |'):
        assert line in text
    assert {'curve.png', 'confusion.png', 'mistakes.png'} == set(pictures(report))
    # The table's IoUs, counted from the kept masks, have the mean that MMSegmentation's evaluator says.
    shares = [float(line.split('|')[3].strip(' %')) for line in text.splitlines()
              if line.startswith(('| ground', '| circle', '| under'))]
    assert np.mean(shares) == pytest.approx(float(text.split('mIoU | **')[1].split('*')[0]), abs=0.1)
    lists = [(tmp_path / f'out/data/{name}.txt').read_text().split() for name in ('train', 'val')]
    assert len(lists[0]) == 8 and len(lists[1]) == 2 and not set(lists[0]) & set(lists[1])
    scope = {}
    exec(snippet(report, {'image.jpg': str(data / 'images/0.jpg'), 'found.png': str(tmp_path / 'found.png')}), scope)
    assert scope['result'].pred_sem_seg.data.shape == (1, 50, 70) and (tmp_path / 'found.png').is_file()


def test_val_and_counted_classes(data, tmp_path, capsys):
    val = draw(tmp_path / 'val', count=2, names='')
    (val / 'masks').rename(val / 'labels')
    shutil.copytree(data, tmp_path / 'data')
    (tmp_path / 'data/classes.txt').unlink()
    config = run('segmentation', tmp_path / 'data', tmp_path / 'out', val=val, prepare=True, batch_size=2)
    cfg = Config.fromfile(config)
    assert cfg.model.decode_head.num_classes == 3 and cfg.classes == ['class 0', 'class 1', 'class 2']
    assert cfg.val_dataloader.dataset.data_prefix.seg_map_path == str(val / 'labels')
    assert 'no classes.txt' in capsys.readouterr().out


def test_faults(data, tmp_path, capsys):
    shutil.copytree(data, tmp_path / 'data')
    masks, images = tmp_path / 'data/masks', tmp_path / 'data/images'
    (masks / '0.png').unlink()
    (masks / '1.png').write_bytes(b'no mask')
    (images / '2.jpg').write_bytes(b'no image')
    cv2.imwrite(str(masks / '3.png'), np.zeros((20, 70), np.uint8))
    cv2.imwrite(str(masks / '4.png'), np.full((50, 70), 7, np.uint8))
    cv2.imwrite(str(masks / '5.png'), np.full((50, 70), 255, np.uint8))
    cv2.imwrite(str(masks / '6.png'), np.zeros((50, 70, 3), np.uint8))
    cv2.imwrite(str(masks / 'lonely.png'), np.zeros((50, 70), np.uint8))
    with pytest.raises(FinetuneError, match='BAD above'):
        run('segmentation', tmp_path / 'data', tmp_path / 'out')
    table = capsys.readouterr().out
    for fault in ('images without a mask of the same name', 'masks that can not be read', 'images that can not be read',
                  'masks of another size than their image', 'masks with values beyond the 3 classes', '4.png (7)',
                  'masks without a pixel of a class', 'masks that are no map of one byte',
                  'note  masks without an image'):
        assert fault in table, fault
    run('segmentation', tmp_path / 'data', tmp_path / 'out', skip_bad=True, prepare=True, batch_size=2)
    lists = [(tmp_path / f'out/data/{name}.txt').read_text().split() for name in ('train', 'val')]
    assert sorted(lists[0] + lists[1]) == ['7', '8', '9']


class TestBadInput:

    def check(self, message, data, out, **options):
        with pytest.raises(FinetuneError, match=message) as caught:
            run('segmentation', data, out, **options)
        assert '\n' not in str(caught.value)

    def test_folders(self, data, tmp_path):
        self.check('is no folder', data / 'classes.txt', tmp_path / 'out')
        self.check('needs a folder images and a folder masks, but holds 0.jpg', data / 'images', tmp_path / 'out')
        shutil.copytree(data / 'images', tmp_path / 'data/images')
        (tmp_path / 'data/masks').mkdir()
        self.check('No mask in .* has the name of an image', tmp_path / 'data', tmp_path / 'out')

    def test_jpg_masks(self, data, tmp_path):
        shutil.copytree(data / 'images', tmp_path / 'data/images')
        shutil.copytree(data / 'images', tmp_path / 'data/masks')
        self.check('are jpg files, whose compression changes numbers', tmp_path / 'data', tmp_path / 'out')

    @pytest.mark.parametrize('names, message', [
        (b'one\n', 'has 1 name: a segmentor needs at least two'),
        (b'one\ntwo\none\n', "names 'one' twice"),
        ('grün\nblau\n'.encode('latin-1'), 'is no text in UTF-8'),
    ])
    def test_names(self, data, tmp_path, names, message):
        shutil.copytree(data, tmp_path / 'data')
        (tmp_path / 'data/classes.txt').write_bytes(names)
        self.check(f'classes.txt {message}', tmp_path / 'data', tmp_path / 'out')

    @pytest.mark.parametrize('mask, message', [
        (np.zeros((50, 70, 3), np.uint8), 'colour pictures: save the number'),
        (np.zeros((50, 70), np.uint16), 'maps of uint16: save the number'),
        (np.tile(np.uint8([0, 255]), (50, 35)), 'hold 0 and 255 only'),
        (np.zeros((50, 70), np.uint8), 'one class only'),
    ])
    def test_masks(self, data, tmp_path, mask, message):
        shutil.copytree(data / 'images', tmp_path / 'data/images')
        (tmp_path / 'data/masks').mkdir()
        for number in range(10):
            cv2.imwrite(str(tmp_path / f'data/masks/{number}.png'), mask)
        self.check(message, tmp_path / 'data', tmp_path / 'out')


@pytest.mark.slow
def test_learns(tmp_path):
    """Shapes of any colours and patterns on a ground of others."""
    root = generate_masks(tmp_path / 'drawn', train=320, val=40)
    shares = []
    for split in ('training', 'validation'):
        shutil.copytree(root / 'images' / split, tmp_path / split / 'images')
        (tmp_path / split / 'masks').mkdir()
        (tmp_path / split / 'classes.txt').write_text('ground\nshape\n')
        for path in (root / 'annotations' / split).glob('*.png'):
            mask = np.minimum(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) - 1, 1)  # there the ground is 1
            cv2.imwrite(str(tmp_path / split / 'masks' / path.name), mask)
            shares.append(mask.mean())
    report = run('segmentation', tmp_path / 'training', tmp_path / 'out', val=tmp_path / 'validation', arch=LEARNER,
                 epochs=8, size=96, batch_size=16, cfg_options={
                     'model.neck.out_channels': 64, 'model.decode_head.in_channels': [64, 64, 64, 64],
                     'model.decode_head.channels': 64})
    ground_alone = 100 * (1 - np.mean(shares[-40:])) / 2  # mIoU of who sees no shape
    assert untrained(report, tmp_path / 'untrained')['mIoU'] < ground_alone + 5
    assert reported(report, 'mIoU') >= ground_alone + 15
