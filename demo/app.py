"""A web page to try models of any task: pick one, drop a file or take a sample, see what it sees.

    python demo/app.py

offers the models that `make demo TASK=...` has trained (or those of any folders given by --models), and any config with
its checkpoint. It works offline and listens on this machine alone unless --host says otherwise.
"""
import argparse
import os
import tempfile
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # read when gradio is imported

import gradio as gr  # noqa: E402
from demokit.tasks import TASKS  # noqa: E402

from mmuniformer.apis import PredictError, Predictor  # noqa: E402

OWN = 'a config and a checkpoint'
SEED = 2022  # of the samples: no demo was trained on it
BUTTONS = ['fullscreen', 'download']
IMAGES_AND_VIDEOS = ('.png', '.jpg', '.mp4')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--models', default='work_dirs/demo', help='folder of the work dirs to offer (work_dirs/demo)')
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on; 0.0.0.0 is all networks (127.0.0.1)')
    parser.add_argument('--port', type=int, default=7860, help='(7860)')
    parser.add_argument('--device', help='such as cpu or cuda:0 (the accelerator if there is one)')
    return parser.parse_args()


def find_models(folder: Path) -> dict[str, tuple[str, str]]:
    """Config and best checkpoint, else the last, of every work dir of a Runner in ``folder``, by the work dir's name.

    That of a run of ``tools/finetune.py`` is its folder ``train``; it is offered by the name of the run.
    """
    models = {}
    for last in sorted([*folder.glob('*/last_checkpoint'), *folder.glob('*/train/last_checkpoint')]):
        work_dir = last.parent
        best = max(work_dir.glob('best_*.pth'), key=lambda file: file.stat().st_mtime, default=None)
        checkpoint = best or work_dir / Path(last.read_text().strip()).name
        configs = sorted(work_dir.glob('*.py'))
        if configs and checkpoint.is_file():
            named = work_dir.parent if work_dir.name == 'train' else work_dir
            models[named.resolve().name] = (str(configs[0]), str(checkpoint))
    return models


@lru_cache(maxsize=4)
def load(config: str, checkpoint: str, labels: str | None, device: str | None) -> Predictor:
    return Predictor(config, checkpoint, device, labels)


@cache
def sample(task: str) -> Path:
    """A held-out file of the task's generated data."""
    folder = Path(tempfile.mkdtemp(prefix='mmuniformer-sample-'))
    TASKS[task]().generate(folder, train=40, val=40, seed=SEED)
    files = (path for path in sorted(folder.rglob('*')) if path.suffix in IMAGES_AND_VIDEOS)
    return next(path for path in files if any(part.startswith('val') for part in path.relative_to(folder).parts)
                and 'ann' not in path.relative_to(folder).parts[0])


def table(result: dict[str, Any]) -> str:
    """What was seen as a table in Markdown: what, and how sure (or which share)."""
    seen = result if 'labels' in result else result['frames'][0]
    if 'classes' in seen:
        rows = [(part['name'], f'{part["share"]:.1%} of the picture') for part in seen['classes']]
    elif 'people' in seen:
        rows = [(f'box {number + 1}', f'{sum(point[2] for point in person["keypoints"]) / len(person["keypoints"]):.2f}'
                 ' on average of its keypoints') for number, person in enumerate(seen['people'])]
    else:
        rows = [(label['name'], f'{label["score"]:.3f}') for label in seen.get('labels') or seen['instances']]
    lines = [f'| {what.replace("|", " ")} | {sure} |' for what, sure in rows or [('nothing', '')]]
    return '\n'.join(['| what | how sure |', '|---|---|', *lines])


def build(models: dict[str, tuple[str, str]], device: str | None = None) -> gr.Blocks:
    """The page.

    Args:
        models: Config and checkpoint of those to choose from, by name.
        device: Such as ``'cpu'``.
    """
    results = tempfile.TemporaryDirectory(prefix='mmuniformer-')  # gone when the program ends

    def run(model: str, config: str, checkpoint: str, labels: str, file: str | None, window: float | None,
            take_sample: bool) -> tuple:
        nothing = (gr.update(value=None, visible=False), ) * 4
        try:
            if model == OWN and not (config and checkpoint):
                raise PredictError('Name a config (or one of the zoo) and its checkpoint')
            paths = (config.strip(), checkpoint.strip()) if model == OWN else models[model]
            predictor = load(*paths, labels.strip() or None if model == OWN else None, device)
            if take_sample:
                file = str(sample(predictor.task.name))
            if not file:
                raise PredictError('Drop a file first, or take the sample')
            folder = Path(tempfile.mkdtemp(dir=results.name))
            result = predictor(file, folder, window=window or None, video='webm')
        except PredictError as error:
            return (f'### That did not work\n{error}.', *nothing)
        except Exception as error:  # the page goes on, whatever one file did
            return (f'### That failed\n{type(error).__name__}: {error}', *nothing)
        drawn, timeline = str(folder / result['files']['drawn']), result['files'].get('timeline')
        moves = drawn.endswith('.webm')
        more = len(result.get('windows') or result['frames'])
        note = f', on average of {more} windows' if 'windows' in result else ', in the first frame'
        title = f'### {Path(file).name}: {result["task"]}{note if more > 1 else ""}'
        text = '\n\n'.join([title, *result.get('notes', ())])
        return (text, gr.update(value=None if moves else drawn, visible=not moves),
                gr.update(value=drawn if moves else None, visible=moves), gr.update(value=table(result), visible=True),
                gr.update(value=str(folder / timeline) if timeline else None, visible=bool(timeline)))

    choices = [*models, OWN]
    with gr.Blocks(title='mmuniformer', analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown('# UniFormer\nPick a task and its model, drop an image or a video or take the sample.')
        with gr.Row():
            with gr.Column(scale=2):
                model = gr.Dropdown(choices, value=choices[0], label='Task and model', elem_id='model')
                with gr.Column(visible=choices[0] == OWN) as own:
                    config = gr.Textbox(label='Config, or its name in the zoo', elem_id='config')
                    checkpoint = gr.Textbox(label='Checkpoint', elem_id='checkpoint')
                    labels = gr.Textbox(label='File of labels, if the checkpoint has no names', elem_id='labels')
                file = gr.File(label='Image or video', elem_id='file')
                window = gr.Number(label='Long videos: seconds to look at at a time (empty: by the model)', value=None,
                                   minimum=0, elem_id='window')
                with gr.Row():
                    go = gr.Button('Predict', variant='primary', elem_id='go')
                    take = gr.Button('Take the sample', elem_id='take')
            with gr.Column(scale=3):
                text = gr.Markdown(elem_id='text')
                image = gr.Image(show_label=False, visible=False, elem_id='image', height=400, buttons=BUTTONS)
                video = gr.Video(show_label=False, visible=False, elem_id='video', height=400, autoplay=True, loop=True)
                seen = gr.Markdown(visible=False, elem_id='table')
                timeline = gr.Image(show_label=False, visible=False, elem_id='timeline', buttons=BUTTONS)
        model.change(lambda chosen: gr.update(visible=chosen == OWN), model, own, api_visibility='private')
        inputs, outputs = [model, config, checkpoint, labels, file, window], [text, image, video, seen, timeline]
        # One at a time: a model uses all cores anyway.
        go.click(lambda *values: run(*values, False), inputs, outputs, concurrency_id='run', concurrency_limit=1,
                 api_visibility='private')
        take.click(lambda *values: run(*values, True), inputs, outputs, concurrency_id='run', concurrency_limit=1,
                   api_visibility='private')
    return page


def main() -> None:
    args = parse_args()
    models = find_models(Path(args.models))
    if not models:
        print(f'No trained models in {args.models}: `make demo` trains one; until then give a config and a checkpoint '
              'in the page.')
    # Fonts of the system: the default theme would fetch its own from the network.
    theme = gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace'])
    build(models, args.device).launch(server_name=args.host, server_port=args.port, share=False, ssr_mode=False,
                                      footer_links=[], theme=theme, show_error=True)


if __name__ == '__main__':
    main()
