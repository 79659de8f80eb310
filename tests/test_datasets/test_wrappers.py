"""Unreadable samples replaced: with real files, in worker processes, and in a run of the train command."""
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from torch.utils.data import DataLoader

from mmuniformer.datasets.wrappers import ReplaceUnreadable, TooManyUnreadable

ROOT = Path(__file__).resolve().parents[2]


class Files(BaseDataset):
    """Reads a text file for each sample."""

    def __init__(self, folder, length, **kwargs):
        self.folder, self.length = Path(folder), length
        super().__init__(**kwargs)

    def load_data_list(self):
        return [dict(path=str(self.folder / f'{number}.txt')) for number in range(self.length)]

    def prepare_data(self, idx):
        return int(Path(self.get_data_info(idx)['path']).read_text())


def files(tmp_path, length, missing) -> Files:
    for number in set(range(length)) - set(missing):
        (tmp_path / f'{number}.txt').write_text(str(number))
    return Files(tmp_path, length)


def test_replaces_logs_once_and_counts(tmp_path):
    dataset = ReplaceUnreadable(files(tmp_path, 10, [3, 7]), max_share=0.3)
    for _ in range(3):
        seen = [dataset[index] for index in range(len(dataset))]
        assert [value for index, value in enumerate(seen) if index not in (3, 7)] == [0, 1, 2, 4, 5, 6, 8, 9]
        assert all(seen[index] not in (3, 7) for index in (3, 7))
    assert dataset.unreadable == [3, 7] and dataset.tried == 10
    assert len(dataset) == 10 and dataset.get_data_info(3)['path'].endswith('3.txt')


def test_a_file_is_not_tried_again(tmp_path):
    dataset = ReplaceUnreadable(files(tmp_path, 4, [1]), max_share=0.5)
    dataset[1]
    (tmp_path / '1.txt').write_text('1')
    assert all(dataset[1] != 1 for _ in range(20))


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_workers_share_the_count(tmp_path, start):
    dataset = ReplaceUnreadable(files(tmp_path, 12, [2, 5, 9]), max_share=0.5)
    loader = DataLoader(dataset, batch_size=3, num_workers=2, multiprocessing_context=start)
    assert len(torch.cat(list(loader))) == 12
    assert dataset.unreadable == [2, 5, 9] and dataset.tried == 12


def test_stops_past_the_share(tmp_path):
    dataset = ReplaceUnreadable(files(tmp_path, 10, [0, 4, 6]), max_share=0.2)
    for index in range(6):
        dataset[index]
    with pytest.raises(TooManyUnreadable, match=r'3 of \d+ samples tried .* max_share=0.2.*6.txt') as error:
        for index in range(6, 10):
            dataset[index]
    assert '[0, 4, 6]' in str(error.value) and '\n' not in str(error.value)


def test_stops_in_a_worker_too(tmp_path):
    dataset = ReplaceUnreadable(files(tmp_path, 10, range(10)), max_share=0.2)
    with pytest.raises(TooManyUnreadable, match='max_share=0.2'):
        list(DataLoader(dataset, batch_size=2, num_workers=1))


def test_a_large_dataset_stops_early(tmp_path):
    """A wrong folder is noticed after some files, not after a share of hundreds of thousands."""
    dataset = ReplaceUnreadable(Files(tmp_path, 5000), max_share=0.05)
    with pytest.raises(TooManyUnreadable, match='11 of 11 samples'):
        dataset[0]


def test_no_share_tolerates_none(tmp_path):
    with pytest.raises(TooManyUnreadable):
        ReplaceUnreadable(files(tmp_path, 4, [2]), max_share=0)[2]


def test_other_errors_pass(tmp_path):
    dataset = files(tmp_path, 3, [])
    (tmp_path / '1.txt').write_text('one')
    with pytest.raises(ValueError, match='invalid literal'):
        ReplaceUnreadable(dataset)[1]


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match='max_share'):
        ReplaceUnreadable(files(tmp_path, 2, []), max_share=1.)
    with pytest.raises(ValueError, match='test_mode=True'):
        ReplaceUnreadable(Files(tmp_path, 2, test_mode=True))


def test_training_on_a_folder_with_damaged_videos(tmp_path):
    """`tools/train.py`, with a video that is no video and one that is cut off."""
    data = tmp_path / 'videos'
    data.mkdir()
    for index in range(6):
        writer = cv2.VideoWriter(str(data / f'{index}.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 12, (64, 64))
        for _ in range(20):
            writer.write(np.random.RandomState(index).randint(0, 256, (64, 64, 3), dtype=np.uint8))
        writer.release()
    (data / '2.mp4').write_bytes(b'not a video')
    (data / '4.mp4').write_bytes((data / '4.mp4').read_bytes()[:2000])
    for part in ('train', 'val'):
        (data / f'{part}.txt').write_text(''.join(f'{i}.mp4 {i % 2}\n' for i in (range(6) if part == 'train' else [0])))
    (tmp_path / 'config.py').write_text(f"""
_base_ = '{ROOT}/configs/demo/uniformer-demo_recognition.py'
data_root = '{data}'
model = dict(backbone=dict(arch=dict(depths=[1, 1, 1, 1], embed_dims=[8, 8, 16, 16], head_dim=8)),
             cls_head=dict(in_channels=16))
train_dataloader = dict(batch_size=2, dataset=dict(
    _delete_=True, type='mmuniformer.ReplaceUnreadable', max_share=0.4, dataset=dict(
        type='VideoDataset', data_root=data_root, ann_file='train.txt', pipeline=_base_.train_pipeline)))
val_dataloader = dict(dataset=dict(data_root=data_root))
train_cfg = dict(max_epochs=2)
""")
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))

    def train(*options):
        return subprocess.run([sys.executable, str(ROOT / 'tools/train.py'), str(tmp_path / 'config.py'), '--work-dir',
                               str(tmp_path / 'run'), *options], env=env, text=True, capture_output=True, timeout=200)
    result = train()
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    for name in ('2.mp4', '4.mp4'):
        assert text.count(f'Replaced by another sample: {data}/{name}') == 1, text
    assert 'So far 2 of ' in text and (tmp_path / 'run/epoch_2.pth').is_file()

    result = train('--cfg-options', 'train_dataloader.dataset.max_share=0.2')
    assert result.returncode == 1 and 'more than max_share=0.2' in result.stderr.splitlines()[-1]
    assert 'Traceback' not in result.stderr
