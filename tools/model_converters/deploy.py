"""Fold a trained model's backbone for inference: same predictions, fewer operations.

    python tools/model_converters/deploy.py CONFIG CHECKPOINT OUT.pth
    python tools/test.py OUT.py OUT.pth

Writes the folded checkpoint and beside it, as OUT.py, the config that builds the model for it (``deploy=True`` in its
backbone). It can be tested and run, not trained, and nothing turns it back: keep the checkpoint it was made from.
"""
import argparse
import copy
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import nn

import mmuniformer  # noqa: F401  (registers the backbones)
from mmuniformer.apis import PredictError
from mmuniformer.apis.model import build_model
from mmuniformer.apis.weights import check_fit
from mmuniformer.engine.launch import check_checkpoint, read_config
from mmuniformer.models.backbones.base import BaseUniFormer


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint of the whole model: file or URL')
    parser.add_argument('out', type=Path, help='file to write, .pth; the config goes beside it')
    return parser.parse_args(argv)


def deployed_config(part: Any) -> Any:
    """A copy of a config's ``model`` that builds UniFormer backbones folded and fetches no weights by itself."""
    if isinstance(part, (list, tuple)):
        return [deployed_config(each) for each in part]
    if not isinstance(part, dict):
        return copy.deepcopy(part)
    copied = {key: deployed_config(value) for key, value in part.items()}
    if isinstance(copied.get('init_cfg'), dict) and copied['init_cfg'].get('type') == 'Pretrained':
        copied['init_cfg'] = None
    if _is_backbone(part.get('type')):
        copied['init_cfg'] = None
        copied['deploy'] = True
    return copied


def _is_backbone(name: Any) -> bool:
    if isinstance(name, str):  # MMAction2 has a UniFormer, too
        name = MODELS.get(name) if name.startswith('mmuniformer.') else None
    return isinstance(name, type) and issubclass(name, BaseUniFormer)


def backbones(model: nn.Module) -> list[BaseUniFormer]:
    """The UniFormers in a model.

    Raises:
        ValueError: When there is none, or one is folded already.
    """
    found = [module for module in model.modules() if isinstance(module, BaseUniFormer)]
    if not found:
        raise ValueError("the config's model has no backbone of type mmuniformer.UniFormer, UniFormer3D, "
                         'UniFormerLight or UniFormerLight3D')
    if any(backbone.is_deployed for backbone in found):
        raise ValueError('the config has deploy=True in its backbone: give the one the model was trained with')
    return found


def fold(backbone: BaseUniFormer) -> float:
    """Fold a backbone, and tell by how much a random input's maps changed, of their largest magnitude.

    Raises:
        ValueError: When that is more than rounding explains, which would be a fault of this package.
    """
    sample = torch.randn(1, backbone.in_channels, *(4, ) * (backbone.ndim - 2), 64, 64)
    with torch.no_grad():
        before = backbone.eval().forward_stages(sample)[0]
        after = backbone.switch_to_deploy().forward_stages(sample)[0]
    change = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(after, before))
    if not change < 1e-3:
        raise ValueError(f'folded, the backbone gives other maps (difference {change:.1e} of the largest value): '
                         'please report this with the config')
    return change


def main(argv=None) -> int:
    args = parse_args(argv)
    try:
        if args.out.suffix != '.pth':
            raise ValueError(f'the file to write must end in .pth, got {args.out}')
        target = args.out.with_suffix('.py')
        for source in (args.config, args.checkpoint):
            if Path(source).resolve() in (args.out.resolve(), target.resolve()):
                raise ValueError(f'{source} would be overwritten: name another file to write')
        cfg = read_config(args.config)
        content, _ = check_checkpoint(args.checkpoint)
        if not isinstance(content.get('state_dict'), dict):
            raise ValueError(f'{args.checkpoint} has no `state_dict`: give a checkpoint that a Runner wrote')
        model = build_model(cfg)
        found = backbones(model)
        unknown = check_fit(model, content, args.checkpoint, args.config)  # loads it
        if unknown:
            raise ValueError(f'{args.checkpoint} does not fit {args.config}: the model has no {unknown[0]}' +
                             (f' and {len(unknown) - 1} more' if len(unknown) > 1 else ''))
        changes = [fold(backbone) for backbone in found]
    except (PredictError, ValueError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    cfg.model = deployed_config(cfg.model.to_dict())
    cfg.load_from, cfg.resume = None, False
    args.out.parent.mkdir(parents=True, exist_ok=True)
    meta = {key: value for key, value in content.get('meta', {}).items() if key == 'dataset_meta'}
    torch.save(dict(meta=meta, state_dict=model.state_dict()), args.out)
    cfg.dump(target)
    print(f'{args.out}: folded; the maps of a random input changed by {max(changes):.1e} of their largest value')
    print(f'test it with: python tools/test.py {target} {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
