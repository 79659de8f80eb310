# AdamW, linear warm-up from 1e-6 over 5 epochs, then cosine to 1e-5 at epoch 300; an average of the weights is tested.
base_lr = 1e-3  # 5e-4 x 1024 / 512
optim_wrapper = dict(
    # Mixed precision halves the memory and uses the tensor cores. Float16 can't hold the smallest gradients, hence the
    # loss scale. On a machine without a GPU tools/train.py falls back to float32.
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=base_lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05),
    # No weight decay on parameters of one dimension: biases, norms, layer scales.
    paramwise_cfg=dict(flat_decay_mult=0.))

param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6 / base_lr, begin=0, end=5, by_epoch=True, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, begin=5, end=300, by_epoch=True)
]

# Decay 0.99996, of the norms' statistics as well.
custom_hooks = [dict(type='EMAHook', momentum=4e-5, update_buffers=True, priority='ABOVE_NORMAL')]

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

# Images in a batch of all processes together: 8 GPUs x 128.
auto_scale_lr = dict(enable=True, base_batch_size=1024)
