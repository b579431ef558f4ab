"""Labels and their file."""

import json

import pytest

from albert.common.errors import UserError
from albert.labelled.example import Entity
from albert.labelled.example import Example
from albert.labelled.labels import Labels
from albert.labelled.options import LabelledOptions


def examples(*labels):
  return [Example(number, None, 'train.json', number + 1, '甲', None, label) for number, label in enumerate(labels)]


def of(kind, *labels, **options):
  return Labels.of(examples(*labels), kind, LabelledOptions(**options))


def test_labels_are_written_and_read_again(tmp_path):
  path = str(tmp_path / 'labels.json')
  for labels in (of('classify', '10', '9', '9'), of('classify', ('b', 'a'), ()), of('regress', 1.5), of('read', None),
                 of('tag', (Entity('人', 0, 1, '甲'),), ())):
    labels.save(path)
    again = Labels.load(path)
    assert again == labels and again.counts == labels.counts and again.types == labels.types
  assert of('classify', 'a', 'b') != of('classify', 'b', 'c')


def test_the_file_is_what_the_export_reads(tmp_path):
  of('classify', 'b', 'a', 'a').save(str(tmp_path / 'labels.json'))
  values = json.loads((tmp_path / 'labels.json').read_text(encoding='utf-8'))
  assert values['labels'] == ['a', 'b'] and values['counts'] == {'a': 2, 'b': 1}


@pytest.mark.parametrize('content, kind, scheme', [
    ('["a", "b"]', 'classify', None), ('{"体育": 12, "a": 3}', 'classify', None), ('["O", "B-X", "I-X"]', 'tag', 'BIO'),
    ('["O", "B_X", "M_X", "E_X", "S_X"]', 'tag', 'BMES')])
def test_labels_that_others_wrote(tmp_path, content, kind, scheme):
  path = tmp_path / 'labels.json'
  path.write_text(content, encoding='utf-8')
  labels = Labels.load(str(path))
  assert (labels.kind, labels.scheme, len(labels)) == (kind, scheme, len(json.loads(content)))


@pytest.mark.parametrize('content', ['', '{', '3', '[["a"]]', '["a", "a"]', '{"labels": null}'])
def test_files_that_are_no_labels(tmp_path, content):
  path = tmp_path / 'labels.json'
  path.write_text(content)
  with pytest.raises(UserError, match='expected'):
    Labels.load(str(path))


def test_a_tagger_that_others_trained_can_be_expressed():
  """222 tags, and names that are no tags."""
  names = ['[PAD]', 'O'] + ['{}_t{}'.format(letter, number) for number in range(55) for letter in 'BIES']
  labels = Labels('tag', names)
  assert len(labels) == 222 and labels.scheme == 'BIOES' and labels.outside == 1
  assert labels.tag_ids('t1', 3) == [names.index(name) for name in ('B_t1', 'I_t1', 'E_t1')]
  assert labels.tag_ids('t1', 1) == [names.index('S_t1')]
  between, first, last = labels.forbidden
  assert between.shape == (222, 222) and between[names.index('B_t1'), 1] and not between[1, names.index('B_t1')]


def test_an_unknown_label_is_an_error_with_its_place():
  labels, example = of('classify', 'a', 'b'), examples('c')[0]
  with pytest.raises(UserError, match=r'train.json:1: expected one of the labels of train \(a, b\), found c'):
    labels.id('c', example)
  with pytest.raises(UserError, match='found c'):
    of('tag', (Entity('x', 0, 1, '甲'),)).tag_ids('c', 2, example)


def test_names_that_are_no_characters_are_refused(tmp_path):
  """They could not be written into any answer."""
  (tmp_path / 'labels.json').write_text('{"labels": ["a", "\\ud83d"]}')
  with pytest.raises(UserError, match='labels.json: expected labels in UTF-8'):
    Labels.load(str(tmp_path / 'labels.json'))
