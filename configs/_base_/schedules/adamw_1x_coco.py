# AdamW in mixed precision on MMDetection's 1x schedule: 12 epochs, a tenth of the learning rate after 8 and after 11.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

optim_wrapper = dict(
    _delete_=True,
    type='AmpOptimWrapper',
    loss_scale='dynamic',
    optimizer=dict(type='AdamW', lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05),
    # No weight decay on the backbone's norms.
    paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.))))
