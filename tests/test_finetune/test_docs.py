"""Every command of docs/finetune.md, on data of the layout that it shows, up to the training."""
import importlib.util
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from mmuniformer.finetune import Options, finetune

from . import test_detection, test_pose, test_segmentation
from .conftest import draw_images

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [match for block in re.findall(r'```shell\n(.*?)```', (ROOT / 'docs/finetune.md').read_text(), re.DOTALL)
            for match in block.strip().splitlines()]


@pytest.fixture(scope='module')
def place(videos, tmp_path_factory):
    """A folder with all that the commands name."""
    folder = tmp_path_factory.mktemp('docs')
    shutil.copytree(videos, folder / 'my_videos')
    lines = [f'{path},{path.parent.name}' for path in sorted(videos.rglob('*.mp4'))]
    (folder / 'my_videos.csv').write_text('\n'.join(['path,label', *lines]) + '\n')
    draw_images(folder / 'my_images')
    draw_images(folder / 'my_images_val', each=2)
    test_detection.draw_coco(folder / 'my_objects')
    shutil.copytree(folder / 'my_objects/images', folder / 'pictures')
    for name in ('train', 'val'):
        shutil.copy(folder / 'my_objects/all.json', folder / f'{name}.json')
    test_segmentation.draw(folder / 'my_scenes')
    test_pose.draw(folder / 'my_poses')
    return folder


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('finetune_tool', ROOT / 'tools/finetune.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('command', COMMANDS)
def test_command(command, place, tool, monkeypatch, tmp_path):
    python, script, *arguments = shlex.split(command)
    assert (python, script) == ('python', 'tools/finetune.py')
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, 'argv', [script, *arguments])
    options = vars(tool.parse_args())
    # No download, no search for a batch size, no training; the drawn videos have 10 frames.
    options.update(pretrained='none', batch_size=2, prepare=True, out=tmp_path / 'out', frames=8)
    assert finetune(Options(**options)) == tmp_path / 'out/config.py'


@pytest.mark.parametrize('arguments, message', [
    (['--data', 'nowhere'], 'error: No data at nowhere: no such file or folder.'),
    (['--data', 'my_images', '--frames', '0'], 'error: frames must be at least 1, got 0.'),
    (['--data', 'my_poses'], 'has no sub-folders'),
])
def test_errors_are_one_line(arguments, message, place, tool, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, 'argv', ['finetune.py', '--task', 'image', *arguments])
    with pytest.raises(SystemExit, match=re.escape(message)) as caught:
        tool.main(**vars(tool.parse_args()))
    assert '\n' not in str(caught.value)


def test_there_is_a_command_for_each_task():
    assert {command.split('--task ')[1].split()[0] for command in COMMANDS} == {
        'video', 'image', 'detection', 'segmentation', 'pose'}
