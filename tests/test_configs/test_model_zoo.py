"""The model zoo as a whole: every published row once, and README.md, the folders' READMEs and metafiles agree."""
import csv
import re
from collections import Counter

import pytest
import yaml

from .dense import ROOT

METAFILES = [ROOT / path for path in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']]
MODELS = [model for file in METAFILES for model in yaml.safe_load(file.read_text())['Models']]
PUBLISHED = {model['Config']: model for model in MODELS if 'Results' in model}
#: Columns of the authors' tables that are results; the metafiles leave out their APs of medium and large people.
RESULTS = ('Top-1', 'Top1', 'box mAP', 'mask mAP', 'mIoU', 'MS mIoU', 'AP', 'AP50', 'AP75', 'AR')
#: Further results, which only the metafiles have.
MORE = ('Top 5 Accuracy', 'AP@0.5', 'AP@0.75')


def metrics(model: dict) -> dict[str, float]:
    return {name: value for result in model['Results'] for name, value in result['Metrics'].items()}


def tables(path) -> dict[str, dict[str, str]]:
    """Cells by the title of their column, of each row of a README that names a config, by the config's path."""
    found, titles = {}, []
    for line in path.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip('|').split('|')] if line.startswith('|') else []
        config = re.search(r'\[config\]\(([^)]*)\)', line)
        if cells and config:
            name = str((path.parent / config[1]).relative_to(ROOT))
            assert name not in found, f'{name} is in {path} twice'
            found[name] = dict(zip(titles, cells, strict=True))
        elif cells and set(cells) != {'---'}:
            titles = cells
    return found


def test_every_metafile_is_in_the_index():
    assert set(METAFILES) == set((ROOT / 'configs').glob('*/*/metafile.yml'))
    assert len({model['Name'] for model in MODELS}) == len(MODELS)
    assert all((ROOT / model['Config']).is_file() for model in MODELS)


def test_metafiles_are_the_authors_tables(shared):
    """As many models as rows, with the same weights, logs and results."""
    with open(shared / 'reference/official_results.csv') as file:
        rows = list(csv.DictReader(file))
    theirs = Counter((row['weights_gdrive_id'], row['log_gdrive_id'], tuple(sorted(
        float(row[column].split()[0].rstrip('*')) for column in RESULTS if row[column]))) for row in rows)

    def drive(model: dict, key: str) -> str:
        return model['Converted From'].get(key, '//').split('/')[-2]

    ours = Counter((drive(model, 'Weights'), drive(model, 'Log'), tuple(sorted(map(float, metrics(model).values()))))
                   for model in PUBLISHED.values())
    assert ours == theirs and len(rows) == 93


def test_readme_has_every_model():
    assert set(tables(ROOT / 'README.md')) == set(PUBLISHED)


@pytest.mark.parametrize('config', PUBLISHED)
def test_readmes_agree(config):
    model = PUBLISHED[config]
    of_all = tables(ROOT / 'README.md')[config]
    of_folder = tables((ROOT / config).parent / 'README.md')[config]
    published = {float(cell) for title, cell in of_all.items()
                 if ('published' in title or title == 'multi-scale') and cell}
    assert published == {value for name, value in metrics(model).items() if name not in MORE}
    params = f"{model['Metadata']['Parameters'] / 1e6:.1f} M"
    assert of_all['params'] == of_folder['params'] == params
    (flops, ) = [float(cell.split()[0]) for title, cell in of_all.items() if title.startswith('GFLOPs')]
    counted = [float(cell) for title, cell in of_folder.items()
               if 'GFLOPs' in title and 'published' not in title and re.fullmatch(r'[\d.]+', cell)]
    if counted:  # to another digit
        assert any(value == pytest.approx(flops, rel=0.01) for value in counted)
    else:  # published of all views together
        info = model['Metadata']
        assert info['FLOPs'] / 1e9 / info['Test Clips'] / info['Test Crops'] == pytest.approx(flops, rel=0.01)
