"""The split, what belongs together, the table of findings, the written config."""
from collections import Counter

import pytest
from mmengine.config import Config

from mmuniformer.finetune import FinetuneError
from mmuniformer.finetune.config import write_config
from mmuniformer.finetune.findings import Findings, text_table
from mmuniformer.finetune.samples import Sample, find_copies, source_of, split
from mmuniformer.finetune.task import Plan

BASE = 'mmuniformer::classification/uniformer/uniformer-small_8xb128_in1k.py'


def samples(tmp_path, **counts):
    return [Sample(tmp_path / f'{name}{i}', name) for name, count in counts.items() for i in range(count)]


class TestSplit:

    def test_shares_of_each_class(self, tmp_path):
        every = samples(tmp_path, many=50, some=10, few=2)
        train, val = split(every, 0.2, 0, Findings())
        assert Counter(sample.stratum for sample in val) == dict(many=10, some=2, few=1)
        assert len(train) == 49 and not {id(s) for s in train} & {id(s) for s in val}

    def test_depends_on_the_seed_alone(self, tmp_path):
        names = [[s.path.name for s in split(samples(tmp_path, a=30, b=30), 0.2, seed, Findings())[1]]
                 for seed in (3, 3, 4)]
        assert names[0] == names[1] != names[2]

    def test_sources_stay_together(self, tmp_path):
        every = samples(tmp_path, a=40)
        for i, sample in enumerate(every):
            sample.source = f'recording {i // 4}'
        train, val = split(every, 0.2, 0, Findings())
        assert len(val) == 8
        assert not {s.source for s in train} & {s.source for s in val}

    def test_a_large_source_is_not_set_aside(self, tmp_path):
        every = samples(tmp_path, a=40)
        for i, sample in enumerate(every):
            sample.source = 'long' if i < 30 else str(i)
        for seed in range(5):
            assert {s.source for s in split(every, 0.2, seed, Findings())[1]}.isdisjoint({'long'})

    def test_class_of_one_source_is_parted_with_a_note(self, tmp_path):
        every = samples(tmp_path, a=10, b=10)
        for sample in every[:10]:
            sample.source = 'one'
        findings = Findings()
        _, val = split(every, 0.2, 0, findings)
        assert Counter(sample.stratum for sample in val) == dict(a=2, b=2)
        assert any('single source' in what for what in findings.found) and not findings.serious

    def test_class_of_one_sample_is_for_training(self, tmp_path):
        train, val = split(samples(tmp_path, a=10, b=1), 0.2, 0, Findings())
        assert [s.stratum for s in val] == ['a', 'a'] and sum(s.stratum == 'b' for s in train) == 1

    def test_nothing_to_set_aside(self, tmp_path):
        with pytest.raises(FinetuneError, match='give --val'):
            split(samples(tmp_path, a=1, b=1), 0.2, 0, Findings())


@pytest.mark.parametrize('name, source', [
    ('v_Walking_g03_c02', 'f/v_Walking_g03'), ('dQw4w9WgXcQ_000010_000020', 'f/dQw4w9WgXcQ'),
    ('street-frame-0012', 'f/street'), ('kitchen_clip4', 'f/kitchen'), ('IMG_0012', None), ('00012', None)])
def test_source_by_name(name, source):
    assert source_of(name, 'f') == source


def test_copies(tmp_path):
    files = dict(a=b'one', b=b'one', c=b'two', d=b'two', e=b'six')
    every = []
    for (name, content), stratum in zip(files.items(), 'xxxyy'):
        (tmp_path / name).write_bytes(content)
        every.append(Sample(tmp_path / name, stratum))
    findings = Findings()
    left = find_copies(every, findings)
    assert [s.path.name for s in left] == ['a', 'b', 'e']
    assert left[0].source == left[1].source is not None and left[2].source is None
    assert findings.serious and 'the same file in several classes' in findings.found


def test_table_names_a_few_examples():
    findings = Findings()
    findings.note('odd things', 'first')
    for i in range(5):
        findings.bad('broken files', f'{i}.png')
    findings.facts['classes'] = '2'
    assert text_table(findings.rows()).splitlines() == [
        '      classes       2',
        'BAD   broken files  5  0.png, 1.png, 2.png and 2 more',
        'note  odd things    1  first']


class TestConfig:
    PLAN = Plan(4, 1e-3, None, 0, 2, 10, None)

    def write(self, tmp_path, **overrides):
        steps = [dict(type='A', size=(3, )), dict(type='B')]
        dataset = dict(type='C', pipeline=steps, names={'two words': 1})
        sections = [('What it is. ' * 20, dict(steps=steps, train_dataloader=dict(_delete_=True, dataset=dataset),
                                               quoted='it\'s "so"'))]
        return write_config(tmp_path / 'config.py', BASE, 'Title', sections, overrides), sections

    def test_says_the_same_and_is_readable(self, tmp_path):
        cfg, ((_, variables), ) = self.write(tmp_path)
        text = (tmp_path / 'config.py').read_text()
        assert 'pipeline=steps' in text and max(map(len, text.splitlines())) <= 120
        assert cfg.steps == variables['steps'] and cfg.quoted == variables['quoted']
        assert cfg.train_dataloader.dataset.to_dict() == variables['train_dataloader']['dataset']
        assert cfg.model.head.num_classes == 1000  # inherited
        assert cfg.filename == str(tmp_path / 'config.py')

    def test_overrides(self, tmp_path):
        cfg, _ = self.write(tmp_path, **{'steps.0.type': 'D', 'train_dataloader.batch_size': 7,
                                         'model.head.num_classes': 5, 'randomness.seed': 3})
        assert cfg.train_dataloader.dataset.pipeline[0].type == 'D' and cfg.train_dataloader.batch_size == 7
        assert cfg.model.head.num_classes == 5 and cfg.model.head.in_channels == 512 and cfg.randomness.seed == 3
        assert Config.fromfile(tmp_path / 'config.py').model.head.num_classes == 5

    def test_mappings_are_merged(self, tmp_path):
        cfg, _ = self.write(tmp_path, **{'train_dataloader.dataset': dict(names=dict(three=3)),
                                         'model.head': dict(num_classes=5)})
        assert cfg.train_dataloader.dataset.names == {'two words': 1, 'three': 3}
        assert cfg.train_dataloader.dataset.type == 'C'
        assert cfg.model.head.num_classes == 5 and cfg.model.head.in_channels == 512

    @pytest.mark.parametrize('key', ['steps.2.type', 'steps.first.type', 'model.backbone.arch.depths'])
    def test_override_that_does_not_fit(self, tmp_path, key):
        with pytest.raises(FinetuneError, match='--cfg-options'):
            self.write(tmp_path, **{key: 1})
