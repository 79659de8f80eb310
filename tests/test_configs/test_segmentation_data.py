"""Segmentation configs on generated ADE20K files: whole runs, tests at several scales, images that are not as usual."""
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from mmuniformer.engine.launch import augment_test, fit_to_machine

from . import dense, dense_data

UPERNET = 'uniformer-small-h14_upernet_8xb2-160k_ade20k-512x512'
FPN = 'uniformer-small_fpn_8xb4-80k_ade20k-512x512'


def config(name: str, folder, crop=(64, 64)):
    """A small network on small crops of small images."""
    cfg = dense_data.point_at(dense.tiny(dense.config('segmentation', name)), folder)
    cfg.model.data_preprocessor.size = crop
    for key in ('train_pipeline', 'test_pipeline', 'tta_pipeline'):
        cfg[key] = dense.plain(cfg[key])
    resize, cut = cfg.train_pipeline[2:4]
    resize.scale, cut.crop_size = (256, 64), crop
    cfg.test_pipeline[1].scale = (256, 64)
    for each in cfg.tta_pipeline[1].transforms[0]:
        each.scale = tuple(side // 8 for side in each.scale)
    cfg.train_dataloader.dataset.pipeline = cfg.train_pipeline
    cfg.val_dataloader.dataset.pipeline = cfg.test_dataloader.dataset.pipeline = cfg.test_pipeline
    cfg.val_dataloader.batch_size = cfg.test_dataloader.batch_size = 1
    return cfg


def run(cfg, folder) -> Runner:
    fit_to_machine(cfg)
    cfg.work_dir, cfg.visualizer.vis_backends = str(folder), []
    cfg.train_cfg.max_iters = cfg.train_cfg.val_interval = 2
    cfg.default_hooks.checkpoint.interval = 2
    return Runner.from_cfg(cfg)


@pytest.mark.parametrize('name', [UPERNET, FPN])
def test_train_and_test_at_one_scale_and_several(name, tmp_path):
    folder = dense_data.ade(tmp_path / 'ade')
    run(config(name, folder), tmp_path).train()
    scores = []
    for several in (False, True):
        cfg = config(name, folder)
        if several:
            augment_test(cfg)
        cfg.load_from = str(tmp_path / 'iter_2.pth')
        runner = run(cfg, tmp_path)
        scores.append(runner.test()['mIoU'])
        backbone = (runner.model.module if several else runner.model).backbone
        saved = torch.load(cfg.load_from, weights_only=True)['state_dict']['backbone.norm4.weight']
        assert torch.equal(backbone.norm4.weight, saved)
    assert all(np.isfinite(scores)) and scores[0] != scores[1]


@pytest.mark.parametrize('name', [UPERNET, FPN])
def test_scales_and_flips(name, tmp_path):
    """Six scales, each as it is and mirrored; Semantic FPN's with sides that are multiples of 32."""
    cfg = dense_data.point_at(dense.config('segmentation', name), dense_data.ade(tmp_path))
    augment_test(cfg)
    for index, (height, width) in enumerate(dense_data.SIZES):
        images = DATASETS.build(cfg.test_dataloader.dataset)[index]['inputs']
        assert len(images) == 12
        for ratio, image, mirrored in zip((0.5, 0.75, 1., 1.25, 1.5, 1.75), images[::2], images[1::2]):
            factor = min(2048 * ratio / max(height, width), 512 * ratio / min(height, width))
            sides = [int(side * factor + 0.5) for side in (height, width)]
            if name == FPN:
                sides = [-(-side // 32) * 32 for side in sides]
            assert tuple(image.shape) == (3, *sides)
            assert torch.equal(image.flip(-1), mirrored)


def test_crop_smaller_than_a_window(tmp_path):
    """A window is 224 pixels. Crops of 32, and images that are smaller still."""
    folder = dense_data.ade(tmp_path / 'ade', sizes=((40, 36), (20, 90), (33, 33), (5, 7)))
    cfg = config(UPERNET, folder, crop=(32, 32))
    run(cfg, tmp_path).train()


def test_image_that_can_not_be_read(tmp_path):
    cfg = config(UPERNET, dense_data.ade(tmp_path, unreadable=(0, )))
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    with pytest.raises(AssertionError, match='failed to load image'):
        dataset[0]
    assert dataset[1]['inputs'].ndim == 3


def test_nothing_labeled():
    """A crop in which no pixel has a label: the loss is 0 and all stays finite."""
    from .test_segmentation import SIZE, inputs, tiny
    cfg = tiny(UPERNET)
    model = dense.build(cfg)
    data = inputs(SIZE, SIZE)
    for sample in data['data_samples']:
        sample.gt_sem_seg.data.fill_(255)
    log = model.train_step(data, dense.optimizer(cfg, model))
    assert log['decode.loss_ce'] == log['aux.loss_ce'] == 0
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_synchronised_norms_without_an_accelerator():
    """They exist for GPUs only: processes on the CPU keep their statistics to themselves."""
    cfg = dense.config('segmentation', UPERNET)
    cfg.launcher = 'none'
    fit_to_machine(cfg)
    assert cfg.model.decode_head.norm_cfg.type == 'SyncBN'  # the Runner replaces it in a single process
    cfg.launcher = 'pytorch'
    notes = fit_to_machine(cfg)
    assert any('SyncBN' in note for note in notes)
    assert cfg.model.decode_head.norm_cfg.type == cfg.model.auxiliary_head.norm_cfg.type == 'BN'
    assert not any('SyncBN' in note for note in fit_to_machine(cfg))


def test_several_scales_without_a_word_on_them():
    cfg = dense.config('detection', 'mask-rcnn_uniformer-small-h14_fpn_amp-1x_coco')
    with pytest.raises(SystemExit, match='--tta needs tta_model and tta_pipeline'):
        augment_test(cfg)
