# AdamW, linear warm-up from 1e-6 over 10 epochs, then cosine to 1e-6 at epoch 110.
base_lr = 1e-4
optim_wrapper = dict(
    # Mixed precision halves the memory and uses the tensor cores. Float16 can't hold the smallest gradients, hence the
    # loss scale; it is dynamic because the largest factor without overflow changes in training. On a machine without a
    # GPU tools/train.py falls back to float32.
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=base_lr, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay on parameters of one dimension: biases, norms, layer scales.
    paramwise_cfg=dict(flat_decay_mult=0.),
    clip_grad=dict(max_norm=20, norm_type=2))

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / base_lr, begin=0, end=10, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, begin=10, end=110, by_epoch=True, convert_to_iter_based=True)
]

train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=110, val_begin=1, val_interval=10)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

# Clips in a batch of all processes together, before repeated augmentation: 8 GPUs x 4.
auto_scale_lr = dict(enable=True, base_batch_size=32)
