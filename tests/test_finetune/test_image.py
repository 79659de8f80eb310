"""From folders of images to a model: the whole way, interrupted, and what is wrong with data and options."""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmuniformer.finetune import FinetuneError, Options, finetune
from mmuniformer.models import UniFormer

from .conftest import ARCH, LEARNER, draw_images, pictures, reported, run, snippet

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def spoilt(images, tmp_path_factory):
    """The images, one of them broken, one a copy in another class, and a class that is empty."""
    folder = tmp_path_factory.mktemp('spoilt') / 'images'
    shutil.copytree(images, folder)
    (folder / 'shape_0/0.png').write_bytes((folder / 'shape_0/0.png').read_bytes()[:60])
    shutil.copy(folder / 'shape_1/1.png', folder / 'shape_2/copy.png')
    (folder / 'nothing').mkdir()
    return folder


@pytest.fixture(scope='module')
def report(spoilt, tmp_path_factory):
    return run('image', spoilt, tmp_path_factory.mktemp('image') / 'out', skip_bad=True)


def test_faults_stop_it(spoilt, tmp_path, capsys):
    with pytest.raises(FinetuneError, match='BAD above.*--skip-bad'):
        run('image', spoilt, tmp_path / 'out')
    table = capsys.readouterr().out
    for line in ('BAD   images that can not be read', 'BAD   the same file in several classes',
                 'BAD   classes without images', 'for training / validation'):
        assert line in table
    assert 'shape_0/0.png' in table and 'shape_1/1.png = shape_2/copy.png' in table and 'nothing' in table
    assert not (tmp_path / 'out').exists()


def test_report(report):
    text = report.read_text()
    shown = pictures(report)
    assert {'curve.png', 'confusion.png'} <= set(shown) and all(image is not None for image in shown.values())
    for line in ('accuracy/top1', '| shape_2 |', 'images that can not be read', '.pth'):
        assert line in text
    values = [json.loads(line) for line in (report.parent / 'train').glob('*/vis_data/scalars.json').__next__()
              .read_text().splitlines()]
    best = max(value['accuracy/top1'] for value in values if 'accuracy/top1' in value)
    assert f'**{best:.4f}**' in text


def test_split_is_written_and_without_the_bad(report):
    folder = report.parent / 'data'
    assert (folder / 'classes.txt').read_text().split() == ['shape_0', 'shape_1', 'shape_2']
    train, val = ((folder / f'{name}.txt').read_text().splitlines() for name in ('train', 'val'))
    # 7 + 7 + 8 are left: one is broken, and of the two copies neither counts
    assert len(train) + len(val) == 22 and not set(train) & set(val)
    assert sorted(line.rpartition(' ')[2] for line in val) == ['0', '1', '2', '2']
    assert not any('copy.png' in line or 'shape_0/0.png' in line for line in train + val)


def test_usage_predicts(report, images):
    scope = {}
    exec(snippet(report, {'image.jpg': str(images / 'shape_1/3.png')}), scope)
    result = scope['result']
    assert result['pred_class'] in ('shape_0', 'shape_1', 'shape_2') and 1 / 3 <= result['pred_score'] <= 1


def test_commands_of_the_tools(images, tmp_path):
    """The config by tools/train.py, then finetune for the report, then the report's commands."""
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))

    def call(script, *arguments):
        result = subprocess.run([sys.executable, str(ROOT / script), *map(str, arguments)], env=env, text=True,
                                capture_output=True, timeout=400)
        assert result.returncode == 0, (result.stdout + result.stderr)[-3000:]
        return result.stdout + result.stderr

    config = run('image', images, tmp_path / 'out', epochs=1, prepare=True)
    call('tools/train.py', config)
    weights = (tmp_path / 'out/train/epoch_1.pth').read_bytes()
    report = run('image', images, tmp_path / 'out', epochs=1)
    assert (tmp_path / 'out/train/epoch_1.pth').read_bytes() == weights, 'it has trained again'
    commands = [shlex.split(line) for line in re.findall(r'```shell\n(.*?)\n', report.read_text())]
    (predict, ), (test, ) = ([words[1:] for words in commands if words[:2] == ['python', script]]
                             for script in ('demo/predict.py', 'tools/test.py'))
    value = report.read_text().split('accuracy/top1 | **')[1].split('*')[0]
    assert f'accuracy/top1: {value}' in call(*test)
    assert predict[-1] == 'INPUT'
    call(*predict[:-1], next(images.rglob('*.png')), '--out', tmp_path / 'predicted')
    assert list((tmp_path / 'predicted').glob('*.json'))


def test_given_again_it_goes_on(report, spoilt, capsys):
    out = report.parent
    before = report.read_text().partition('minutes')[0]
    report.unlink()
    (out / 'train/epoch_2.pth').unlink()
    (out / 'train/last_checkpoint').write_text(str(out / 'train/epoch_1.pth'))  # as a kill in epoch 2 leaves it
    again = run('image', spoilt, out, skip_bad=True)
    assert 'Going on with' in capsys.readouterr().out
    assert again.read_text().partition('minutes')[0].splitlines()[0] == before.splitlines()[0]
    logs = sorted((out / 'train').glob('*/*.log'))
    assert len(logs) == 2 and 'resumed epoch: 1' in logs[1].read_text()
    epochs = {json.loads(line)['epoch'] for line in (logs[1].parent / 'vis_data/scalars.json').read_text().splitlines()
              if 'epoch' in line}
    assert epochs == {2}


def test_other_options_need_another_folder(report, spoilt, tmp_path):
    with pytest.raises(FinetuneError, match='other options .epochs.: give another --out'):
        run('image', spoilt, report.parent, skip_bad=True, epochs=3)
    (tmp_path / 'notes.txt').write_text('important')
    with pytest.raises(FinetuneError, match='files of something else'):
        run('image', spoilt, tmp_path, skip_bad=True)


def test_a_run_that_trained_nothing_yet_may_change(images, tmp_path):
    run('image', images, tmp_path / 'out', prepare=True, batch_size=6)
    cfg = Config.fromfile(run('image', images, tmp_path / 'out', prepare=True, batch_size=3, epochs=5))
    assert cfg.train_dataloader.batch_size == 3 and cfg.train_cfg.max_epochs == 5
    # from scratch, the network a sixteenth as wide as the one that the rate is for
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(16 * 7.5e-4 * (3 / 64) ** 0.5, rel=0.01)
    torch.save(dict(no='weights'), tmp_path / 'bad.pth')
    with pytest.raises(FinetuneError, match='bad.pth'):
        run('image', images, tmp_path / 'out', pretrained=str(tmp_path / 'bad.pth'))
    run('image', images, tmp_path / 'out', prepare=True)


def test_config_alone(images, tmp_path):
    """Given validation data, a chosen batch, weights of its own, a change by --cfg-options; no training."""
    torch.save(UniFormer(ARCH).state_dict(), tmp_path / 'weights.pth')
    val = draw_images(tmp_path / 'val', classes=2, each=2)
    config = run('image', images, tmp_path / 'out', val=val, batch_size=6, prepare=True,
                 pretrained=str(tmp_path / 'weights.pth'), cfg_options={'optim_wrapper.optimizer.weight_decay': 0.2})
    cfg = Config.fromfile(config)
    assert len((tmp_path / 'out/data/val.txt').read_text().splitlines()) == 4
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 6 and cfg.auto_scale_lr.enable
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(5e-5 * (6 / 64) ** 0.5, rel=0.01)
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.2
    assert cfg.optim_wrapper.paramwise_cfg.custom_keys['head'].lr_mult == 10
    assert cfg.model.backbone.init_cfg.checkpoint == str(tmp_path / 'weights.pth')
    assert not (tmp_path / 'out/train').exists()


def test_batch_fits_the_memory(images, tmp_path, monkeypatch):
    from mmuniformer.finetune import fit
    config = run('image', images, tmp_path / 'out', prepare=True)
    cfg = Config.fromfile(config)
    most, why = fit.fit_batch(cfg, 16)
    assert most == 16
    each = float(why.split('a sample keeps ')[1].split()[0]) * 2**20
    assert each > 4 * 3 * 32 * 32
    monkeypatch.setattr(fit, 'available_memory', lambda: 10 * each)
    assert fit.fit_batch(cfg, 16)[0] <= 4


def test_left_and_right_are_not_mirrored(images, tmp_path):
    for name, shape in (('turn left', 'shape_0'), ('turn_right', 'shape_1'), ('bright', 'shape_2')):
        shutil.copytree(images / shape, tmp_path / 'data' / name)
    cfg = Config.fromfile(run('image', tmp_path / 'data', tmp_path / 'out', prepare=True, batch_size=2))
    assert [step.type for step in cfg.train_pipeline] == ['LoadImageFromFile', 'RandomResizedCrop', 'PackInputs']
    assert 'no mirroring' in (tmp_path / 'out/finetune.json').read_text()


class TestBadInput:

    def check(self, message, *args, **kwargs):
        with pytest.raises(FinetuneError, match=message) as caught:
            run('image', *args, **kwargs)
        assert '\n' not in str(caught.value)

    def test_no_such_folder(self, tmp_path):
        self.check('No data at .*nowhere', tmp_path / 'nowhere', tmp_path / 'out')

    def test_no_sub_folders(self, images, tmp_path):
        self.check('no sub-folders.*one sub-folder a class', images / 'shape_0', tmp_path / 'out')

    def test_one_class(self, images, tmp_path):
        shutil.copytree(images / 'shape_0', tmp_path / 'data/only')
        self.check(r'one class only \(only\)', tmp_path / 'data', tmp_path / 'out')

    def test_splits_instead_of_classes(self, images, tmp_path):
        for name in ('train', 'val'):
            shutil.copytree(images, tmp_path / 'data' / name)
        self.check('holds splits .train, val. and not classes', tmp_path / 'data', tmp_path / 'out')
        run('image', tmp_path / 'data/train', tmp_path / 'out', val=tmp_path / 'data/val', prepare=True, batch_size=2)

    def test_out(self, images, tmp_path):
        self.check('is within the data, where each folder is a class', images, images / 'out')
        (tmp_path / 'file').write_text('')
        self.check('is a file: give a folder as --out', images, tmp_path / 'file')
        (tmp_path / 'finetune.json').write_text('{"opti')
        self.check("finetune.json can't be read as what a run has left", images, tmp_path)

    def test_empty_val(self, images, tmp_path):
        (tmp_path / 'val').mkdir()
        self.check('val has no sub-folders', images, tmp_path / 'out', val=tmp_path / 'val')
        (tmp_path / 'val/shape_0').mkdir()
        self.check('No images for validation', images, tmp_path / 'out', val=tmp_path / 'val', skip_bad=True)

    def test_foreign_class_in_val(self, images, tmp_path, capsys):
        shutil.copytree(images / 'shape_0', tmp_path / 'val/other')
        self.check('BAD above', images, tmp_path / 'out', val=tmp_path / 'val')
        assert 'classes of the validation data that the training data lack' in capsys.readouterr().out

    @pytest.mark.parametrize('content, message', [
        ('image,kind\na.png,0\n', 'needs the columns path and label.*has: image, kind'),
        ('', 'needs the columns path and label.*has: nothing'),
        ('path,label\nshape_0/1.png,\n', 'has no labels: the column label is empty'),
        (b'\xff\xfe\x00', "can't be read as a csv"),
    ])
    def test_csv(self, images, tmp_path, content, message):
        file = tmp_path / 'list.csv'
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        shutil.copytree(images / 'shape_0', tmp_path / 'shape_0')
        self.check(message, file, tmp_path / 'out')

    def test_csv_of_missing_files(self, images, tmp_path, capsys):
        (tmp_path / 'list.csv').write_text('path,label\nno.png,a\nnot.png,b\n,c\n')
        self.check('no class with images', tmp_path / 'list.csv', tmp_path / 'out')
        table = capsys.readouterr().out
        assert 'files that are not there' in table and 'no.png, not.png' in table and 'line 4' in table

    def test_arch_and_weights(self, images, tmp_path):
        self.check("no config of arch 'tiny'.*small, small_plus, base", images, tmp_path / 'out', arch='tiny')
        self.check('`depths` must be four', images, tmp_path / 'out', arch=dict(ARCH, depths=[1]))
        self.check("weights can't be had .*none.pth.*--pretrained none", images, tmp_path / 'out',
                   pretrained=str(tmp_path / 'none.pth'))
        self.check('no published weights of this arch', images, tmp_path / 'out', pretrained=None)
        self.check('Google Drive.*drive.google.com.*--pretrained PATH', images, tmp_path / 'out', arch='xxs',
                   pretrained=None)

    def test_weights_of_another_network(self, images, tmp_path):
        """Known before the training, also where that is left for later."""
        torch.save(UniFormer(dict(ARCH, embed_dims=[16, 16, 24, 32])).state_dict(), tmp_path / 'wide.pth')
        self.check("weights can't be used: .*wide.pth.* does not fit the model", images, tmp_path / 'out', batch_size=2,
                   pretrained=str(tmp_path / 'wide.pth'))

    def test_numbers(self, images, tmp_path):
        self.check('epochs must be at least 1', images, tmp_path / 'out', epochs=0)
        self.check('share set aside', images, tmp_path / 'out', val_share=1.)
        self.check('seed must be at least 0', images, tmp_path / 'out', seed=-1)
        self.check('--images is for COCO', images, tmp_path / 'out', images=images)
        with pytest.raises(FinetuneError, match='no task'):
            finetune(Options('audio', images))


def test_real_photographs(shared, tmp_path):
    """Whole pictures of COCO and crops of them are two classes; jpg files of various sizes."""
    for i, path in enumerate(sorted((shared / 'data/coco').glob('*.jpg'))):
        image = cv2.imread(str(path))
        for name, picture in dict(whole=image, crop=image[100:260, 100:320]).items():
            (tmp_path / 'data' / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / 'data' / name / f'{i}.jpg'), picture)
    report = run('image', tmp_path / 'data', tmp_path / 'out', epochs=1)
    assert 'confusion.png' in pictures(report)
    assert np.isfinite(float(report.read_text().split('accuracy/top1 | **')[1].split('*')[0]))


@pytest.mark.slow
def test_learns(tmp_path):
    """Three shapes, chance 33 %."""
    data = draw_images(tmp_path / 'data', classes=3, each=240)
    report = run('image', data, tmp_path / 'out', arch=LEARNER, epochs=40, size=48, batch_size=24,
                 cfg_options={'train_pipeline.1.crop_ratio_range': (0.8, 1.)})
    assert reported(report, 'accuracy/top1') >= 75
