"""Detection configs on generated COCO files: whole runs, and annotations and images that are not as they should be."""
import pytest
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from mmuniformer.engine.launch import fit_to_machine

from . import dense, dense_data

SMALL = 'mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco'
CROPS = 'mask-rcnn_uniformer-small-h14_fpn_amp-ms-crop-3x_coco'


def config(folder, name=SMALL):
    """A small network on small images."""
    cfg = dense_data.point_at(dense.tiny(dense.config('detection', name)), folder)
    cfg.train_dataloader.dataset.filter_cfg.min_size = 1
    cfg.model.test_cfg.rcnn.score_thr = 0.  # or an untrained network detects nothing
    _shrink(cfg.train_dataloader.dataset.pipeline)
    for phase in ('val', 'test'):
        _shrink(cfg[f'{phase}_dataloader'].dataset.pipeline)
    return cfg


def _shrink(steps) -> None:
    """Images of a tenth of the size."""
    for step in steps:
        if isinstance(step, list):
            _shrink(step)
        elif step.type == 'RandomChoice':
            _shrink(step.transforms)
        elif step.type == 'Resize':
            step.scale = (133, 80)
        elif step.type == 'RandomChoiceResize':
            step.scales = [(short // 10, 133) for short, _ in step.scales]
        elif step.type == 'RandomCrop':
            step.crop_size = (38, 60)


def run(cfg, folder) -> Runner:
    fit_to_machine(cfg)
    cfg.work_dir, cfg.visualizer.vis_backends = str(folder), []
    cfg.train_cfg.max_epochs = 1
    return Runner.from_cfg(cfg)


def test_train_and_test_with_an_empty_image(tmp_path):
    """Training leaves an image without objects out, testing scores what is found on it."""
    folder = dense_data.coco(tmp_path / 'coco', empty=(1, ))
    runner = run(config(folder), tmp_path)
    runner.train()
    assert {'coco/bbox_mAP', 'coco/segm_mAP'} <= runner.val_loop.run().keys()
    dataset = runner.train_dataloader.dataset
    assert [dataset.get_data_info(index)['img_id'] for index in range(len(dataset))] == [0, 2, 3]
    assert len(runner.val_dataloader.dataset) == 4
    assert (tmp_path / 'epoch_1.pth').is_file()


def test_step_without_an_object(tmp_path):
    """Where such images are not left out, they are background: no loss of boxes and masks, and all stays finite."""
    cfg = config(dense_data.coco(tmp_path, sizes=((64, 80), ) * 2, empty=(0, 1)))
    cfg.train_dataloader.dataset.filter_cfg.filter_empty_gt = False
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples = [dataset[index] for index in range(2)]
    assert all(len(sample['data_samples'].gt_instances) == 0 for sample in samples)
    model = dense.build(cfg).train()
    batch = dict(inputs=[sample['inputs'] for sample in samples],
                 data_samples=[sample['data_samples'] for sample in samples])
    log = model.train_step(batch, dense.optimizer(cfg, model))
    assert log['loss_rpn_bbox'] == log['loss_bbox'] == log['loss_mask'] == 0 < log['loss_rpn_cls']
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_image_that_can_not_be_read(tmp_path):
    cfg = config(dense_data.coco(tmp_path, unreadable=(0, )))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    with pytest.raises(AssertionError, match='failed to load image.*0.png'):
        dataset[0]
    (tmp_path / 'images/0.png').unlink()
    with pytest.raises(FileNotFoundError, match='0.png'):
        dataset[0]
    # The framework's way out in training: another image in the place of a missing one.
    cfg.train_dataloader.dataset.pipeline[0].ignore_empty = True
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert dataset[0]['data_samples'].img_id in (1, 2, 3)


def test_crops_smaller_than_a_window(tmp_path):
    """A window is 224 pixels, crops are 38 to 60, and some have no object in them."""
    cfg = config(dense_data.coco(tmp_path / 'coco'), CROPS)
    cfg.train_cfg.val_interval = 2
    cfg.train_dataloader.dataset = dict(type='RepeatDataset', times=5, dataset=cfg.train_dataloader.dataset)
    run(cfg, tmp_path).train()
    assert (tmp_path / 'epoch_1.pth').is_file()
