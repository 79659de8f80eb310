# Shards parameters, gradients and the optimiser's state over all processes (PyTorch's FullyShardedDataParallel), for
# what does not fit one GPU. Add it to the bases of any config here and start it with tools/dist_train.sh.
runner_type = 'FlexibleRunner'
strategy = dict(
    type='FSDPStrategy',
    # Parameters keep their names, so that the rules of paramwise_cfg and frozen stages work (use_orig_params is
    # MMEngine's default).
    model_wrapper=dict(type='MMFullyShardedDataParallel', auto_wrap_policy='mmuniformer.wrap_blocks'),
    # The first process writes checkpoints of whole tensors, as those of a training that is not sharded.
    state_dict_cfg='full')
