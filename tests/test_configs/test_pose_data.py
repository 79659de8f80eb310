"""Pose configs on generated COCO files: whole runs, and annotations and images that are not as they should be."""
import pytest
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from mmuniformer.engine.launch import fit_to_machine

from . import dense, dense_data

SMALL = 'td-hm_uniformer-small_8xb128-210e_coco-256x192'


def config(folder):
    return dense_data.point_at(dense.tiny(dense.config('pose', SMALL)), folder)


def test_train_and_test(tmp_path):
    """Persons without a visible keypoint, and images without a person, are left out in training."""
    cfg = config(dense_data.coco(tmp_path / 'coco', empty=(1, ), invisible=(2, )))
    fit_to_machine(cfg)
    cfg.work_dir, cfg.visualizer.vis_backends = str(tmp_path), []
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 1
    runner = Runner.from_cfg(cfg)
    runner.train()
    dataset = runner.train_dataloader.dataset
    assert [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))] == [0, 3]
    assert any(tmp_path.glob('best_coco_AP*.pth'))


def test_nothing_visible(tmp_path):
    """What the data set lets through nonetheless, such as a crop of half a body: a loss of 0, and all stays finite."""
    cfg = config(dense_data.coco(tmp_path))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    infos = [dataset.get_data_info(index) for index in range(2)]
    for info in infos:
        info['keypoints_visible'][:] = 0
    packed = [dataset.pipeline(info) for info in infos]
    assert all(not sample['data_samples'].gt_instance_labels.keypoint_weights.any() for sample in packed)
    model = dense.build(cfg).train()
    data = dict(inputs=[sample['inputs'] for sample in packed],
                data_samples=[sample['data_samples'] for sample in packed])
    log = model.train_step(data, dense.optimizer(cfg, model))
    assert log['loss_kpt'] == 0
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_image_that_can_not_be_read(tmp_path):
    cfg = config(dense_data.coco(tmp_path, unreadable=(0, )))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    with pytest.raises(Exception, match='0.png'):
        dataset[0]
    assert dataset[1]['inputs'].shape == (3, 256, 192)


def test_box_at_the_border(tmp_path):
    """A box that leaves the image, or has no area worth the name, still gives a crop of the size of the network."""
    cfg = config(dense_data.coco(tmp_path))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    for box in ([-30, -20, 10, 10], [70, 60, 300, 200], [5, 5, 6, 6]):
        info = dataset.get_data_info(0)
        info['bbox'][:] = box
        assert dataset.pipeline(info)['inputs'].shape == (3, 256, 192)
