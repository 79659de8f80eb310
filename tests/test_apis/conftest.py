"""Each tiny model once for all tests of a process."""
import pytest
from mmengine.registry import DefaultScope

from .models import classifier, recognizer


@pytest.fixture(scope='session')
def video_model(tmp_path_factory):
    """Config and checkpoint."""
    try:
        return recognizer(tmp_path_factory.mktemp('recognizer'))
    finally:
        DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def image_model(tmp_path_factory):
    """Config and checkpoint."""
    try:
        return classifier(tmp_path_factory.mktemp('classifier'))
    finally:
        DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def video_predictor(video_model):
    from mmuniformer.apis import Predictor
    return Predictor(*video_model, device='cpu')


@pytest.fixture(scope='session')
def image_predictor(image_model):
    from mmuniformer.apis import Predictor
    return Predictor(*image_model, device='cpu')
