"""MkDocs' hook: the model zoo's tables from the metafiles, and what Markdown needs to become a site."""
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TABLES = '<!-- the tables of the metafiles -->'
TASKS = {'recognition': 'Videos', 'classification': 'Images', 'detection': 'Detection and instance segmentation',
         'segmentation': 'Semantic segmentation', 'pose': 'Pose'}
#: What tells models of one table apart, in this order, where a table's models differ in it at all.
FACTS = ('Detector', 'Segmentor', 'Attention', 'Head Channels', 'Pretrained', 'Schedule', 'Resolution', 'Frame',
         'Sampling rate', 'Token Labels', 'Trained As', 'Epochs', 'Iterations', 'Batch Size')
LINK = re.compile(r'(?<!!)\[([^\]]+)\]\((\.\./[^)#\s]*)\)')
#: Cross-references of docstrings, ``:func:`name``` and ```text <address>`_``, as Markdown leaves them.
ROLE = re.compile(r':(?:func|class|meth|attr|mod|data|exc):<code>~?([^<]*)</code>')
NAMED = re.compile(r'<code>([^<]*?)\s*&lt;(https?://[^&]*)&gt;</code>_')
LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="?(?:https?:)?//|<link\b[^>]*\bhref="?(?:https?:)?//')


def on_page_markdown(markdown, page, config, files):
    """Fill in the tables; links to files of the repository outside of docs/ become their paths."""
    if TABLES in markdown:
        markdown = markdown.replace(TABLES, model_zoo())

    def as_path(match):
        path = (Path(page.file.abs_src_path).parent / match[2]).resolve()
        if not path.is_relative_to(ROOT / 'docs'):
            if not path.exists():
                raise FileNotFoundError(f'{page.file.src_uri} links to {match[2]}, which does not exist')
            name = path.relative_to(ROOT).as_posix()
            return match[1] if name in match[1] else f'{match[1]} (`{name}`)'
        return match[0]

    return LINK.sub(as_path, markdown)


def on_page_content(html, page, config, files):
    """Mend what is left of reStructuredText in docstrings."""
    return NAMED.sub(r'<a href="\2">\1</a>', ROLE.sub(r'<code>\1</code>', html))


def on_post_page(output, page, config):
    """Refuse a page that would load something from another server."""
    found = LOADED.search(output)
    if found:
        raise ValueError(f'{page.file.src_uri} would load from elsewhere: {output[found.start():found.end() + 60]}')
    return output


def model_zoo() -> str:
    """Markdown of a table for each collection of models, grouped by task."""
    by_task = {}
    for name in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']:
        by_task.setdefault(Path(name).parts[1], []).append(ROOT / name)
    if not set(by_task) <= set(TASKS):
        raise ValueError(f'docs_hook.py has no title for {set(by_task) - set(TASKS)}')
    parts = []
    for task, title in TASKS.items():
        parts.append(f'## {title}')
        for path in sorted(by_task.get(task, [])):
            content = yaml.safe_load(path.read_text())
            collection = content['Collections'][0]
            parts += [f"### {collection['Name']}", table(content['Models'])]
    return '\n\n'.join(parts)


def table(models: list[dict]) -> str:
    """One row a model: name, what tells it apart, published results, parameters, links."""
    facts = [fact for fact in FACTS if len({str(model['Metadata'].get(fact, '')) for model in models}) > 1]
    metrics = list(dict.fromkeys(metric for model in models for metric in results(model)))
    titles = ['config', 'model', *(f'{metric} (published)' for metric in metrics), *map(str.lower, facts),
              'parameters', 'weights', 'log']
    rows = [[
        f"`{model['Name']}`", model['Metadata']['Architecture'],
        *(str(results(model).get(metric, '')) for metric in metrics),
        *(str(model['Metadata'].get(fact, '')) for fact in facts), f"{model['Metadata']['Parameters'] / 1e6:.1f} M",
        links(model), log(model)
    ] for model in models]
    return '\n'.join(f"| {' | '.join(row)} |" for row in [titles, ['---'] * len(titles), *rows])


def results(model: dict) -> dict[str, float]:
    return {metric: value for result in model.get('Results', []) for metric, value in result['Metrics'].items()}


def links(model: dict) -> str:
    official = model.get('Converted From', {}).get('Weights')
    found = {'converted': model.get('Weights'), "authors'": official}
    return ', '.join(f'[{name}]({address})' for name, address in found.items() if address)


def log(model: dict) -> str:
    address = model.get('Converted From', {}).get('Log')
    return f"[authors']({address})" if address else ''
