"""cleaning, duplicates and json_lines: what is asked for is done and counted, and nothing else."""

import collections
import json

import numpy as np
import pytest

from albert.common.errors import UserError
from tools.preprocessing import data_set
from tools.text import cleaning
from tools.text import corpus
from tools.text import duplicates
from tools.text import json_lines
from tools.text import source

import small_corpus


def clean(sentences, **options):
  counts, skipped = collections.Counter(), []
  cleaned = list(cleaning.clean([corpus.Document(0, 0, sentences, 7)], cleaning.Options(**options), counts, skipped))
  return (cleaned[0].sentences if cleaned else None), {name: count for name, count in counts.items() if count}, skipped


def test_by_default_nothing_is_changed():
  sentences = ['ＡＢＣ１２３，①\u200b。第二', '3.5']
  assert clean(sentences) == (sentences, {}, [])


@pytest.mark.parametrize('options, expected, counts', [
    (dict(normalization='width'), 'ABc12，①\u200b…', {'normalized_sentences': 1}),
    (dict(normalization='nfkc'), 'ABc12，1\u200b…', {'normalized_sentences': 1}),
    (dict(drop_control_characters=True), 'ＡＢｃ１２，①…', {'control_characters': 1})])
def test_normalization(options, expected, counts):
  assert clean(['ＡＢｃ１２，①\u200b…'], **options) == ([expected], counts, [])


def test_sentences_are_split():
  assert clean(['一。二！', '三'], split_sentences=True) == (['一。', '二！', '三'], {'split_sentences': 1}, [])


@pytest.mark.parametrize('sentences, options, why', [
    (['一二三'], dict(min_characters=4), 'few characters'), (['abc一'], dict(min_han_share=0.3), 'little Han text')])
def test_documents_are_left_out_and_named(sentences, options, why):
  counts = {'documents_' + why.replace(' ', '_'): 1}
  assert clean(sentences, **options) == (None, counts, [(7, 'document with ' + why)])
  assert clean(sentences + ['四五六七'], **options)[0] == sentences + ['四五六七']


def write_traits(folder, documents, cuts):
  """Hash and signature files of documents (lists of sentences), cut into units."""
  parts = np.split(np.arange(len(documents)), cuts)
  paths = []
  for number, part in enumerate(parts):
    paths.append((str(folder / 'h{}'.format(number)), str(folder / 's{}'.format(number))))
    chosen = [corpus.Document(0, 0, documents[place]) for place in part]
    np.array([cleaning.text_hash(document) for document in chosen], np.uint64).tofile(paths[-1][0])
    np.array([cleaning.signature(document) for document in chosen], np.uint32).tofile(paths[-1][1])
  return [list(names) for names in zip(*paths)]


@pytest.mark.parametrize('cuts', [[], [1, 4], [2, 2, 5]])
@pytest.mark.parametrize('at_once', [2, 1000])
def test_duplicates_are_those_that_came_before(tmp_path, monkeypatch, cuts, at_once):
  pytest.importorskip('datasketch')
  monkeypatch.setattr(duplicates, '_HASHES_AT_ONCE', at_once)
  monkeypatch.setattr(duplicates, '_SIGNATURES_AT_ONCE', at_once)
  first, second = (''.join(map(''.join, small_corpus.documents(8, seed))) for seed in (1, 2))
  documents = [[first], [second], [first[:-4] + '改动。'], [first], [second[:200], second[200:]], ['短。'], ['短。']]
  files = write_traits(tmp_path, documents, cuts)
  assert np.concatenate(duplicates.find(*files, cleaning.Options(duplicates='exact'))).tolist() == [0, 0, 0, 1, 0, 0, 1]
  near = duplicates.find(*files, cleaning.Options(duplicates='near'))
  assert [len(part) for part in near] == [len(part) for part in np.split(np.arange(7), cuts)]
  assert np.concatenate(near).tolist() == [0, 0, 2, 1, 2, 0, 1]
  assert not np.concatenate(duplicates.find(*files, cleaning.Options())).any()


@pytest.mark.parametrize('threshold', [0.97, 1.0])
def test_near_duplicates_may_have_to_be_as_good_as_equal(tmp_path, threshold):
  pytest.importorskip('datasketch')
  first = ''.join(map(''.join, small_corpus.documents(8)))
  files = write_traits(tmp_path, [[first], [first[:-4] + '改动。'], [first[:200], first[200:]]], [])
  options = cleaning.Options(duplicates='near', near_duplicate_threshold=threshold)
  assert np.concatenate(duplicates.find(*files, options)).tolist()[2] == 2


@pytest.mark.parametrize('kind', ['exact', 'near'])
def test_a_data_set_without_duplicates(tmp_path, kind):
  pytest.importorskip('datasketch')
  text = small_corpus.text(20)
  paths = small_corpus.write(tmp_path, text + '\n' + text)
  options = cleaning.Options(duplicates=kind)
  info = small_corpus.create(tmp_path / 'd', paths, cleaning=options).info
  tally = info.statistics
  assert tally['duplicate_documents'] + tally['near_duplicate_documents'] >= 20 and tally['documents'] <= 20
  named = (tmp_path / 'd' / 'skipped.tsv').read_text(encoding='utf-8').split('\n')[:-1]
  assert len(named) == 40 - tally['documents'] and 'document that is equal to an earlier one' in named[-1]
  line = int(named[-1].split('\t')[1])
  lines = (text + '\n' + text).split('\n')
  assert not lines[line - 2] and lines[line - 1], 'the line where the document begins'
  if kind == 'exact':
    single = small_corpus.write(tmp_path, text)
    alone = small_corpus.create(tmp_path / 'e', single).info
    assert alone.statistics['train_tokens'] == tally['train_tokens'] and alone.shards == info.shards


def json_corpus(folder, lines):
  vocab_file = small_corpus.write(folder)[1]
  path = folder / 'text.jsonl'
  path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
  return str(path), vocab_file


def test_json_lines(tmp_path):
  documents = small_corpus.documents(20)
  lines = [json.dumps({'id': 1, 'text': '\n'.join(document)}, ensure_ascii=False) for document in documents]
  path, _ = json_corpus(tmp_path, lines)
  reader = json_lines.Reader('text')
  for unit_bytes in (1, 300, 1 << 20):
    units = corpus.units([path], documents=corpus.LINE, unit_bytes=unit_bytes)
    assert [document.sentences for unit in units for document in reader.documents(unit)] == documents
    assert (len(units) > 5) == (unit_bytes < 1000)
  info = small_corpus.create(tmp_path / 'd', json_corpus(tmp_path, lines),
                              cleaning=cleaning.Options(text_field='text')).info
  assert info.statistics['documents'] == 20


@pytest.mark.parametrize('line', ['{"text": 3}', '[1]', '{"other": "x"}', '{', 'x', '{"text": "' + 'x' * 200 + '"}'])
def test_wrong_json_lines(tmp_path, monkeypatch, line):
  monkeypatch.setattr(json_lines, 'LONGEST_LINE', 100)
  path, _ = json_corpus(tmp_path, ['{"text": "一"}', line, '{"text": "二"}'])
  unit, = corpus.units([path])
  with pytest.raises(UserError, match='in line 2; name the field') as error:
    list(json_lines.Reader('text').documents(unit))
  assert '\n' not in str(error.value)
  reader = json_lines.Reader('text', skip_errors=True)
  assert [document.sentences for document in reader.documents(unit)] == [['一'], ['二']]
  assert reader.skipped == [(1, 'no JSON object with a text "text"')]


def test_cleaning_is_part_of_what_a_data_set_is(tmp_path):
  paths = small_corpus.write(tmp_path)
  small_corpus.create(tmp_path / 'd', paths)
  with pytest.raises(UserError, match='min_characters 0 instead of 3'):
    small_corpus.create(tmp_path / 'd', paths, cleaning=cleaning.Options(min_characters=3))
  assert data_set.check_settings(small_corpus.settings(paths[1])) is None


@pytest.mark.parametrize('name', ['min_han_share', 'near_duplicate_threshold'])
def test_a_share_that_is_no_number_is_refused(name):
  """NaN is neither below nor above the bounds of a flag."""
  with pytest.raises(UserError, match='--{}: expected a number'.format(name)):
    source.check(source.Source(cleaning=cleaning.Options(**{name: float('nan')})))
