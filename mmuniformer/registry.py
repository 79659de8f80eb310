"""Child registries of MMEngine's under the scope ``mmuniformer``.

A config of any OpenMMLab framework reaches what is registered here as ``type='mmuniformer.NAME'``.
"""
from mmengine.registry import DATASETS as _DATASETS
from mmengine.registry import FUNCTIONS as _FUNCTIONS
from mmengine.registry import HOOKS as _HOOKS
from mmengine.registry import MODELS as _MODELS
from mmengine.registry import TRANSFORMS as _TRANSFORMS
from mmengine.registry import Registry

SCOPE = 'mmuniformer'

MODELS = Registry('model', parent=_MODELS, scope=SCOPE, locations=['mmuniformer.models'])
DATASETS = Registry('dataset', parent=_DATASETS, scope=SCOPE, locations=['mmuniformer.datasets'])
TRANSFORMS = Registry('transform', parent=_TRANSFORMS, scope=SCOPE, locations=['mmuniformer.datasets'])
FUNCTIONS = Registry('function', parent=_FUNCTIONS, scope=SCOPE, locations=['mmuniformer.engine'])
HOOKS = Registry('hook', parent=_HOOKS, scope=SCOPE, locations=['mmuniformer.engine'])
