"""Commands and examples of README.md and docs/: the real parsers take them, the files they name exist, examples run.

Commands are parsed by the script they start, and not run: most need data, weights or GPUs. Blocks of Python that are a
config (they start with ``_base_``) are built; those after ``<!-- run -->`` run; the others have to compile.
"""
import argparse
import re
import runpy
import shlex
import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
ZOO = {path.stem for path in (ROOT / 'configs').rglob('*.py')}
#: Which tool a script for several processes starts, and which of the arguments are its own and not passed on.
STARTERS = {'dist_train.sh': ('train', slice(1, 2)), 'dist_test.sh': ('test', slice(2, 3)),
            'slurm_train.sh': ('train', slice(0, 2)), 'slurm_test.sh': ('test', slice(0, 2))}


def of_blocks(page: Path) -> list[str]:
    """Commands of the shell blocks of a page, one a line."""
    blocks = re.findall(r'^```shell\n(.*?)^```', page.read_text(), re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.replace('\\\n', ' ').splitlines()]


def of_text(page: Path) -> list[str]:
    """Commands of this project, with arguments, in a page's running text."""
    text = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r'`((?:python|bash) (?:tools|demo)/[^\s`]+ [^`]+)`', text)
    return [' '.join(command.split()) for command in found]


def words(line: str) -> list[str]:
    """Of a line without comment and without the environment variables it sets."""
    found = shlex.split(line, comments=True)
    while found and re.match(r'[A-Z][A-Z0-9_]*=', found[0]):
        found.pop(0)
    return found


COMMANDS = sorted({(page.relative_to(ROOT).as_posix(), shlex.join(words(line)))
                   for page in PAGES for line in (*of_blocks(page), *of_text(page)) if words(line)})
EXAMPLES = [(page.relative_to(ROOT).as_posix(), number, bool(mark), code)
            for page in PAGES for number, (mark, code) in enumerate(re.findall(
                r'(<!-- run -->\n)?^```python\n(.*?)^```', page.read_text(), re.DOTALL | re.MULTILINE))]


class Parsed(BaseException):
    """Ends a script once its arguments are parsed. No Exception, so that the script does not catch it."""


def parse(script: Path, arguments: list[str], monkeypatch) -> None:
    """Start a script and end it as soon as its own parser has taken the arguments."""
    original = argparse.ArgumentParser.parse_args

    def parse_args(parser, *args, **kwargs):
        raise Parsed(original(parser, *args, **kwargs))

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', parse_args)
    monkeypatch.setattr(sys, 'argv', [str(script), *arguments])
    monkeypatch.syspath_prepend(str(script.parent))
    monkeypatch.chdir(ROOT)
    try:
        runpy.run_path(str(script), run_name='__main__')
    except Parsed:
        return
    except SystemExit as error:
        pytest.fail(f'{script.name} does not take {shlex.join(arguments)} (exit status {error.code})')
    pytest.fail(f'{script.name} did not parse its arguments')


def check_pip(arguments: list[str]) -> None:
    for extras in re.findall(r'\[([^\]]*)\]', ' '.join(arguments)):
        for name in extras.split(','):
            assert name == 'all' or (ROOT / f'requirements/{name}.txt').is_file(), f'no extra {name}'


def check_make(arguments: list[str]) -> None:
    text = (ROOT / 'Makefile').read_text()
    for word in arguments:
        name, is_variable, _ = word.partition('=')
        pattern = rf'^{name} \?=' if is_variable else rf'^{name}:'
        assert re.search(pattern, text, re.MULTILINE), f'Makefile has no {name}'


def check_files(arguments: list[str]) -> None:
    for word in arguments:
        if word.startswith(('configs/', 'tests/')) and '*' not in word:
            assert (ROOT / word.partition('::')[0]).exists(), f'{word} does not exist'


@pytest.mark.parametrize('page, command', COMMANDS)
def test_command(page, command, monkeypatch):
    program, *arguments = shlex.split(command)
    check_files(arguments)
    if program == 'pip':
        check_pip(arguments)
    elif program == 'make':
        check_make(arguments)
    elif program == 'python' and arguments[0] == '-c':
        compile(arguments[1], page, 'exec')
    elif program == 'python' and arguments[0] == '-m':
        assert arguments[1] in ('pip', 'pytest')
    else:
        assert program in ('python', 'bash'), f'{program} is nothing that this test knows how to check'
        script, *arguments = arguments
        assert (ROOT / script).is_file(), f'{script} does not exist'
        if program == 'bash':
            tool, own = STARTERS[Path(script).name]
            del arguments[own]
            script = f'tools/{tool}.py'
        if script == 'demo/predict.py':
            assert arguments[0].isupper() or Path(arguments[0]).suffix or arguments[0] in ZOO, f'no {arguments[0]}'
        parse(ROOT / script, arguments, monkeypatch)


@pytest.mark.parametrize('page, number, is_run, code', EXAMPLES, ids=[f'{e[0]}-{e[1]}' for e in EXAMPLES])
def test_example(page, number, is_run, code, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    program = compile(code, f'{page}, Python block {number + 1}', 'exec')
    if is_run:
        exec(program, {'__name__': 'example'})
    elif code.startswith('_base_'):
        Path('config.py').write_text(code)
        config = Config.fromfile('config.py')
        scope = config.get('default_scope', 'mmengine')
        with DefaultScope.overwrite_default_scope(scope):
            model = MODELS.build(config.model)
        assert 'UniFormer' in type(model.backbone).__name__


def test_unreadable_files_are_replaced_as_in_the_faq(tmp_path):
    code, = (code for page, *_, code in EXAMPLES if page == 'docs/faq.md' and 'ReplaceUnreadable' in code)
    (tmp_path / 'train.txt').write_text('a.mp4 0\n')
    (tmp_path / 'base.py').write_text(f"""
_base_ = {str(ROOT / 'configs/demo/uniformer-demo_recognition.py')!r}
train_dataloader = dict(dataset=dict(data_root={str(tmp_path)!r}))
""")
    (tmp_path / 'config.py').write_text(f"_base_ = 'base.py'\n{code}")
    cfg = Config.fromfile(tmp_path / 'config.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert type(dataset).__name__ == 'ReplaceUnreadable' and dataset.max_share == 0.02
    assert dataset.get_data_info(0)['filename'] == str(tmp_path / 'a.mp4')


def test_checkpoints_of_demos_are_the_ones_they_leave():
    pattern = r'work_dirs/demo/(\w+)/epoch_(\d+)\.pth'
    named = {found for page in PAGES for found in re.findall(pattern, page.read_text())}
    assert named
    for task, epoch in named:
        assert int(epoch) == Config.fromfile(ROOT / f'configs/demo/uniformer-demo_{task}.py').max_epochs


def test_there_is_something_to_check():
    assert sum('tools/' in command for _, command in COMMANDS) > 20
    assert sum(is_run for *_, is_run, _ in EXAMPLES) >= 3
