"""data_set and stages: the whole of data creation, in this process, on small text."""

import collections
import functools
import json
import os

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.common import files
from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import packing
from albert.dataset import record_format
from albert.dataset import tfrecord
from tools.preprocessing import assembly
from tools.preprocessing import data_set
from tools.preprocessing import encoding
from tools.preprocessing import inputs
from tools.preprocessing import pipeline
from tools.preprocessing import stages
from tools.text import cleaning
from tools.text import corpus

import small_corpus


def examples(info, split):
  return [example_writer.parse_example(record) for path in info.paths(split)
          for record in tfrecord.read_records(path)]


@pytest.fixture
def paths(tmp_path):
  return small_corpus.write(tmp_path)


def test_a_data_set_is_what_its_json_says(tmp_path, paths):
  info = small_corpus.create(tmp_path / 'd', paths, records_per_shard=40).info
  assert sorted(os.listdir(str(tmp_path / 'd'))) == sorted(
      ['dataset.json', 'vocab.txt', 'token_counts.txt', 'data_report.html']
      + [shard.file for split in ('train', 'heldout') for shard in info.shards[split]]
      + [shard.file + '.lengths.npy' for shard in info.shards['train']])
  loaded = contract.DatasetInfo.load(str(tmp_path / 'd'))
  assert loaded.shards == info.shards and loaded.statistics == info.statistics
  assert (loaded.max_seq_length, loaded.max_predictions_per_seq) == (48, 7)
  for split in ('train', 'heldout'):
    counts = [shard.records for shard in loaded.shards[split]]
    assert all(count == 40 for count in counts[:-1]) and 0 < counts[-1] <= 40
    for number, (shard, path) in enumerate(zip(loaded.shards[split], loaded.paths(split))):
      assert shard.file == contract.shard_name(split, number, len(counts))
      assert shard.sha256 == files.file_sha256(path)
      assert shard.records == len(list(tfrecord.read_records(path)))
  assert len(loaded.shards['train']) > 1
  assert small_corpus.contents(tmp_path / 'd')['vocab.txt'] == open(paths[1], 'rb').read()
  assert loaded.vocab_sha256 == files.file_sha256(paths[1])


def test_records_have_the_declared_features(tmp_path, paths):
  info = small_corpus.create(tmp_path / 'd', paths).info
  for split in ('train', 'heldout'):
    for example in examples(info, split):
      assert {name: len(values) for name, values in example.items()} == {
          spec.name: record_format.feature_length(spec, 48, 7) for spec in record_format.WRITTEN_FEATURES}


def heldout_ids(info):
  """Sets of the ids of whole texts in both splits, without special tokens."""
  documents = {}
  for split in ('train', 'heldout'):
    documents[split] = set()
    for example in examples(info, split):
      ids = example['input_ids'].copy()
      weights = example['masked_lm_weights'] > 0
      ids[example['masked_lm_positions'][weights]] = example['masked_lm_ids'][weights]
      documents[split].update(ids.tolist())
  return documents


def test_held_out_documents_are_never_trained_on(tmp_path):
  # Each document is written with characters of its own.
  count = 40
  text = '\n\n'.join('{0}{0}，{0}{0}。\n{0}{0}。'.format(chr(0x4E00 + number)) for number in range(count))
  tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '，', '。'] + [chr(0x4E00 + i) for i in range(count)]
  paths = small_corpus.write(tmp_path, text, tokens)
  info = small_corpus.create(tmp_path / 'd', paths, dupe_factor=2).info
  ids = heldout_ids(info)
  assert len(ids['heldout'] - set(range(7))) == 2 and len(ids['train'] - set(range(7))) == 38
  assert not ids['heldout'] & ids['train'] - set(range(7))
  assert info.statistics['heldout_documents'] == 2
  # Masked five ways at least, all of them different.
  held = [tuple(example['masked_lm_positions']) + tuple(example['input_ids']) for example in examples(info, 'heldout')]
  assert len(held) >= 2 * 5 and len(set(held)) > 5
  counts = [int(line) for line in open(info.token_counts_file)]
  assert len(counts) == len(tokens)
  per_document = collections.Counter(counts[7:])
  assert per_document == {6: 38, 0: 2}, 'once per training document, whatever dupe_factor'
  assert counts[5:7] == [38, 76] and counts[:5] == [0] * 5


def test_documents_of_the_same_text_are_on_one_side(tmp_path):
  # 60 documents, each 20 times: as it is, with other line ends, space, case and width.
  documents = [''.join(document) + 'Wifi{}信号'.format(number)
               for number, document in enumerate(small_corpus.documents(60))]
  forms = (str, str.upper, lambda text: text.replace('。', '。\n'), lambda text: ' '.join(text),
           lambda text: text.replace('Wifi', 'Ｗｉｆｉ'))
  text = '\n\n'.join(forms[copy % len(forms)](document) for copy in range(20) for document in documents)
  info = small_corpus.create(tmp_path / 'd', small_corpus.write(tmp_path, text), dupe_factor=1).info
  tally = info.statistics
  assert (tally['documents'], tally['heldout_documents'], tally['repeated_documents']) == (1200, 60, 1140)
  held, trained = ({tuple(segment) for example in examples(info, split) for segment in segments(example)}
                   for split in ('heldout', 'train'))
  shared = {segment for segment in held & trained if len(segment) > 30}
  assert len(held) > 30 and not shared


def segments(example):
  """The ids of both segments of a record, as they were before masking."""
  ids = example['input_ids'].copy()
  weights = example['masked_lm_weights'] > 0
  ids[example['masked_lm_positions'][weights]] = example['masked_lm_ids'][weights]
  length, first = int(example['input_mask'].sum()), int(np.flatnonzero(example['segment_ids'])[0])
  return ids[1:first - 1].tolist(), ids[first:length - 1].tolist()


def test_what_duplicates_left_is_counted_without_them(tmp_path):
  text = small_corpus.text(20)
  alone = small_corpus.create(tmp_path / 'd', small_corpus.write(tmp_path, text)).info.statistics
  options = cleaning.Options(duplicates='exact')
  twice = small_corpus.create(tmp_path / 'e', small_corpus.write(tmp_path, text + '\n' + text), cleaning=options).info
  changed = {name for name, count in twice.statistics.items() if count != alone[name]}
  assert changed == {'duplicate_documents'} and twice.statistics['duplicate_documents'] == 20


def test_what_is_in_no_record_is_counted(tmp_path):
  for length in (16, 48, 200):
    info = small_corpus.create(tmp_path / str(length), small_corpus.write(tmp_path), max_seq_length=length).info
    tally = info.statistics
    counts = [int(line) for line in open(info.token_counts_file)]
    assert tally['train_document_tokens'] == sum(counts)
    for split, ways in (('train', 3), ('heldout', 5)):
      assert tally[split + '_tokens'] + tally[split + '_unused_tokens'] == ways * tally[split + '_document_tokens']
    assert tally['train_unused_tokens'] < 0.01 * tally['train_tokens']
    assert tally['train_document_tokens'] + tally['heldout_document_tokens'] == tally['tokens']


def test_which_documents_are_held_out(tmp_path):
  def choose(keys, fraction=0.05):
    parts = [str(tmp_path / name) for name in 'ab']
    for path, part in zip(parts, (keys[:len(keys) // 3], keys[len(keys) // 3:])):
      part.tofile(path + '.keys')
    return pipeline.choose_heldout(parts, fraction)
  keys = np.arange(1000).astype(np.uint64)
  threshold, count, repeated = choose(keys)
  hashes = stages.heldout_hashes(keys)
  assert repeated == 0 and count == 50 == (hashes <= np.uint64(threshold)).sum()
  assert sorted(hashes.tolist())[49] == threshold
  for size, expected in ((2, 1), (19, 1), (39, 1), (40, 2)):
    assert choose(keys[:size])[1] == expected
  assert choose(keys[:2], 1.0)[1] == 1, 'never all'
  # 4 texts, once, twice, three and 30 times: of a fifth at least one.
  repeats = np.repeat(keys[:4], [1, 2, 3, 30])
  threshold, count, repeated = choose(repeats, 0.2)
  assert count in (1, 2, 3, 30) and count == (stages.heldout_hashes(repeats) <= np.uint64(threshold)).sum()
  assert repeated == 32
  with pytest.raises(UserError, match='expected at least 2 different documents'):
    choose(np.repeat(keys[:1], 9))
  for size, words in ((0, 'expected text'), (1, 'expected at least 2 documents')):
    with pytest.raises(UserError, match=words):
      choose(keys[:size])


@pytest.mark.parametrize('at_once', [1, 7, 1000])
def test_the_held_out_threshold_is_that_of_a_sort(tmp_path, monkeypatch, at_once):
  monkeypatch.setattr(pipeline, '_KEYS_AT_ONCE', at_once)
  for size in (2, 17, 400):
    keys = np.random.RandomState(size).randint(0, 1 << 62, size).astype(np.uint64)
    keys.tofile(str(tmp_path / 'k.keys'))
    threshold, count, _ = pipeline.choose_heldout([str(tmp_path / 'k')], 0.3)
    assert threshold == sorted(stages.heldout_hashes(keys).tolist())[count - 1]


def test_another_place_and_other_sizes_give_the_same_bytes(tmp_path, paths, monkeypatch):
  small_corpus.create(tmp_path / 'd', paths)
  expected = small_corpus.contents(tmp_path / 'd')
  (tmp_path / 'elsewhere').mkdir()
  moved = small_corpus.write(tmp_path / 'elsewhere')
  monkeypatch.setattr(corpus, 'units', lambda paths, encoding, documents, units=corpus.units: units(
      paths, encoding, documents, 700))
  for name, value in (('_BLOCK_CHARACTERS', 100), ('_DUPLICATES_AT_ONCE', 1), ('_RUN_TOKENS', 300),
                      ('_BLOCK_RECORDS', 3)):
    monkeypatch.setattr(stages, name, value)
  monkeypatch.setattr(pipeline, '_BUCKET_TOKENS', 500)
  monkeypatch.setattr(pipeline, '_MAX_RUNS', 2)
  small_corpus.create(tmp_path / 'e', moved)
  assert small_corpus.contents(tmp_path / 'e') == expected


@pytest.mark.parametrize('changes', [
    dict(random_seed=1), dict(dupe_factor=4), dict(masked_lm_prob=0.2), dict(short_seq_prob=0.9),
    dict(do_whole_word_mask=False), dict(max_seq_length=40)])
def test_a_setting_has_an_effect(tmp_path, paths, changes):
  small_corpus.create(tmp_path / 'd', paths)
  small_corpus.create(tmp_path / 'e', paths, **changes)
  assert small_corpus.contents(tmp_path / 'd', '.tfrecord') != small_corpus.contents(tmp_path / 'e', '.tfrecord')


def test_the_order_is_shuffled_across_documents(tmp_path, paths):
  info = small_corpus.create(tmp_path / 'd', paths).info
  lengths = [int(example['input_mask'].sum()) for example in examples(info, 'train')]
  firsts = [tuple(example['input_ids'][1:4]) for example in examples(info, 'train')]
  assert lengths != sorted(lengths)
  neighbours = sum(a == b for a, b in zip(firsts, firsts[1:]))
  assert neighbours < len(firsts) / 10


def test_several_files_in_any_order(tmp_path):
  for name, seed in (('a.txt', 1), ('b.txt', 2)):
    (tmp_path / name).write_text(small_corpus.text(10, seed), encoding='utf-8')
  vocab_file = small_corpus.write(tmp_path)[1]
  names = [str(tmp_path / 'a.txt'), str(tmp_path / 'b.txt')]
  settings = small_corpus.settings(vocab_file)
  data_set.create(settings, names, str(tmp_path / 'd'))
  data_set.create(settings, names[::-1], str(tmp_path / 'e'))
  assert small_corpus.contents(tmp_path / 'd') == small_corpus.contents(tmp_path / 'e')


def test_of_very_many_files_dataset_json_has_one_entry(tmp_path, monkeypatch):
  monkeypatch.setattr(inputs, '_MOST_NAMED', 3)
  (tmp_path / 'many').mkdir()
  for number, document in enumerate(small_corpus.documents(20)):
    (tmp_path / 'many' / '{:02d}.txt'.format(number)).write_text('\n'.join(document), encoding='utf-8')
  vocab_file = small_corpus.write(tmp_path)[1]
  create = functools.partial(data_set.create, small_corpus.settings(vocab_file), [str(tmp_path / 'many')],
                             str(tmp_path / 'd'))
  entry, = create().info.settings['inputs']
  assert (entry['file'], not create().created) == ('20 files', True)
  assert entry['bytes'] == sum(path.stat().st_size for path in (tmp_path / 'many').iterdir())
  (tmp_path / 'many' / '07.txt').write_text('别的。', encoding='utf-8')
  with pytest.raises(UserError, match='the contents of 20 files changed'):
    create()


def test_small_files_are_read_together(tmp_path, monkeypatch):
  """As many tasks, and the same records, as if files were as large as they may be."""
  (tmp_path / 'many').mkdir()
  for number, document in enumerate(small_corpus.documents(40)):
    (tmp_path / 'many' / '{:02d}.txt'.format(number)).write_text('\n'.join(document), encoding='utf-8')
  vocab_file = small_corpus.write(tmp_path)[1]
  made, tasks = [], []
  encode_unit = stages.encode_unit
  monkeypatch.setattr(stages, 'encode_unit', lambda *arguments: tasks.append(1) or encode_unit(*arguments))
  for name, unit_bytes in (('d', 1), ('e', 3000), ('f', 1 << 20)):
    monkeypatch.setattr(corpus, '_MIN_UNIT_BYTES', unit_bytes)
    monkeypatch.setattr(corpus, '_UNITS', 1 << 20)
    del tasks[:]
    data_set.create(small_corpus.settings(vocab_file), [str(tmp_path / 'many')], str(tmp_path / name))
    made.append((len(tasks), small_corpus.contents(tmp_path / name)))
  assert [count for count, _ in made][::2] == [40, 1] and 1 < made[1][0] < 10
  assert made[0][1] == made[1][1] == made[2][1]


def test_what_was_left_out_is_named_by_its_file_and_line(tmp_path, monkeypatch):
  monkeypatch.setattr(corpus, '_UNITS', 1 << 20)
  for folder in ('AA', 'AB'):
    (tmp_path / 'wiki' / folder).mkdir(parents=True)
    for number in range(3):
      text = small_corpus.text(3, number) + '\n我\n\n好。' + '\n' * number
      (tmp_path / 'wiki' / folder / 'wiki_{:02d}'.format(number)).write_text(text, encoding='utf-8')
  vocab_file = small_corpus.write(tmp_path)[1]
  expected = []
  for folder in ('AA', 'AB'):
    for number in range(3):
      line = small_corpus.text(3, number).count('\n') + 2
      expected.append('{}/wiki_{:02d}\t{}\tdocument of fewer than two words\n'.format(folder, number, line))
  for unit_bytes in (1, 200, 1000, 1 << 20):
    monkeypatch.setattr(corpus, '_MIN_UNIT_BYTES', unit_bytes)
    folder = tmp_path / str(unit_bytes)
    data_set.create(small_corpus.settings(vocab_file), [str(tmp_path / 'wiki')], str(folder))
    assert (folder / 'skipped.tsv').read_text(encoding='utf-8') == ''.join(expected)


def test_the_second_time_nothing_is_done(tmp_path, paths, monkeypatch):
  first = small_corpus.create(tmp_path / 'd', paths)
  monkeypatch.setattr(stages, 'encode_unit', None)
  second = small_corpus.create(tmp_path / 'd', paths)
  assert (first.created, second.created) == (True, False)
  assert second.info.shards == first.info.shards


@pytest.mark.parametrize('changes, words', [
    (dict(max_seq_length=64), 'max_seq_length 48 instead of 64'), (dict(random_seed=3), 'random_seed'),
    (dict(segmenter='rjieba'), 'segmenter'), (dict(dupe_factor=5, masked_lm_prob=0.15), 'masked_lm_prob')])
def test_another_data_set_needs_force(tmp_path, paths, changes, words):
  small_corpus.create(tmp_path / 'd', paths)
  before = small_corpus.contents(tmp_path / 'd')
  with pytest.raises(UserError, match=words) as error:
    small_corpus.create(tmp_path / 'd', paths, **changes)
  assert 'FORCE=1' in str(error.value) and '--force' in str(error.value) and '\n' not in str(error.value)
  assert small_corpus.contents(tmp_path / 'd') == before


def test_a_folder_that_a_refused_call_has_made_is_gone(tmp_path):
  for was_there in (False, True):
    with pytest.raises(UserError, match='expected at least 2 documents'):
      small_corpus.create(tmp_path / 'd', small_corpus.write(tmp_path, small_corpus.text(1)))
    assert (tmp_path / 'd').is_dir() == was_there
    (tmp_path / 'd').mkdir(exist_ok=True)
  assert small_corpus.create(tmp_path / 'd', small_corpus.write(tmp_path)).created


def test_a_data_set_of_an_earlier_version_is_not_taken_for_this_one(tmp_path, paths, monkeypatch):
  monkeypatch.setattr(data_set, 'RECIPE', data_set.RECIPE - 1)
  small_corpus.create(tmp_path / 'd', paths)
  monkeypatch.undo()
  with pytest.raises(UserError, match=r'another one \(made by an earlier version of this tool\)'):
    small_corpus.create(tmp_path / 'd', paths)


def test_unfinished_work_of_an_earlier_version_is_made_anew_and_said(tmp_path, paths, monkeypatch, caplog):
  def stop(*_):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(data_set, 'RECIPE', data_set.RECIPE - 1)
  monkeypatch.setattr(pipeline, '_write_shards', stop)
  with pytest.raises(UserError):
    small_corpus.create(tmp_path / 'd', paths)
  monkeypatch.undo()
  with caplog.at_level('WARNING', 'albert'):
    assert small_corpus.create(tmp_path / 'd', paths).reused == 0
  assert 'of an earlier version: removed' in caplog.text
  small_corpus.create(tmp_path / 'e', paths)
  assert small_corpus.contents(tmp_path / 'd') == small_corpus.contents(tmp_path / 'e')


def test_changed_text_or_vocabulary_is_noticed(tmp_path, paths):
  small_corpus.create(tmp_path / 'd', paths)
  with open(paths[0], 'a', encoding='utf-8') as target:
    target.write('\n\n新的。')
  with pytest.raises(UserError, match='contents of text.txt changed'):
    small_corpus.create(tmp_path / 'd', paths)
  small_corpus.write(tmp_path, tokens=small_corpus.vocabulary_tokens() + ['鑫'])
  with pytest.raises(UserError, match='another vocabulary'):
    small_corpus.create(tmp_path / 'd', paths)


def test_a_missing_shard_is_noticed(tmp_path, paths):
  info = small_corpus.create(tmp_path / 'd', paths).info
  os.remove(info.paths('heldout')[0])
  with pytest.raises(UserError, match='heldout-00000-of-00001.tfrecord is missing'):
    small_corpus.create(tmp_path / 'd', paths)


def test_force_replaces_everything(tmp_path, paths):
  small_corpus.create(tmp_path / 'd', paths, records_per_shard=10)
  small_corpus.create(tmp_path / 'e', paths, random_seed=9)
  result = small_corpus.create(tmp_path / 'd', paths, force=True, random_seed=9)
  assert result.created
  old, new = (small_corpus.contents(tmp_path / name) for name in 'de')
  assert old == new, 'no shard of the old one is left'


def test_force_replaces_what_cannot_be_read(tmp_path, paths):
  (tmp_path / 'd').mkdir()
  (tmp_path / 'd' / 'dataset.json').write_text('{')
  with pytest.raises(UserError, match='cannot be read'):
    small_corpus.create(tmp_path / 'd', paths)
  assert small_corpus.create(tmp_path / 'd', paths, force=True).created


def test_a_vocabulary_that_lies_in_the_folder_is_not_overwritten(tmp_path, paths):
  (tmp_path / 'd').mkdir()
  (tmp_path / 'd' / 'vocab.txt').write_text('mine')
  with pytest.raises(UserError, match='found another one'):
    small_corpus.create(tmp_path / 'd', paths)
  assert (tmp_path / 'd' / 'vocab.txt').read_text() == 'mine'


def test_a_failure_leaves_the_old_data_set_and_nothing_half_written(tmp_path, paths, monkeypatch):
  small_corpus.create(tmp_path / 'd', paths)
  before = small_corpus.contents(tmp_path / 'd')

  def fail(*_):
    raise OSError(28, 'No space left on device')
  monkeypatch.setattr(stages.masking, 'mask', fail)
  for folder in ('d', 'new'):
    with pytest.raises(UserError, match='No space left on device'):
      small_corpus.create(tmp_path / folder, paths, force=True, random_seed=5)
  assert small_corpus.contents(tmp_path / 'd') == before
  assert small_corpus.contents(tmp_path / 'new') == {}


def test_not_utf8_leaves_nothing(tmp_path):
  paths = small_corpus.write(tmp_path, small_corpus.text().encode() + b'\n\xff\n')
  with pytest.raises(UserError, match='byte 0xff'):
    small_corpus.create(tmp_path / 'd', paths)
  assert not (tmp_path / 'd').exists()
  info = small_corpus.create(tmp_path / 'd', paths, skip_errors=True).info
  line = small_corpus.text().count('\n') + 2
  assert info.statistics['skipped_lines'] == 1
  assert small_corpus.contents(tmp_path / 'd')['skipped.tsv'].decode() == 'text.txt\t{}\tnot in utf-8\n'.format(line)


@pytest.mark.parametrize('content, words', [
    ('\n', 'expected text.*text.txt'), (' \n\n \u3000\n', 'expected text'), ('一\n\n二\n', 'expected text'),
    ('春天的花，很美。\n', 'expected at least 2 documents')])
def test_too_little_text(tmp_path, content, words):
  with pytest.raises(UserError, match=words):
    small_corpus.create(tmp_path / 'd', small_corpus.write(tmp_path, content))
  assert not (tmp_path / 'd').exists()


def test_what_a_killed_run_left_is_cleared_away(tmp_path, paths):
  work = tmp_path / 'd' / '.unfinished'
  work.mkdir(parents=True)
  (work / 'unit-00000.train-00000.run').write_bytes(b'half')
  assert small_corpus.create(tmp_path / 'd', paths).created
  small_corpus.create(tmp_path / 'e', paths)
  assert small_corpus.contents(tmp_path / 'd') == small_corpus.contents(tmp_path / 'e')


def test_short_documents_are_counted_and_never_held_out(tmp_path):
  content = '我\n\n\u200b\n\n' * 50 + '我喜欢苹果。\n\n你喜欢春天。\n'
  info = small_corpus.create(tmp_path / 'd', small_corpus.write(tmp_path, content)).info
  assert info.statistics['documents'] == 2 and info.statistics['documents_too_short'] == 100
  assert info.records('train') >= 3 and info.records('heldout') >= 5


@pytest.mark.parametrize('changes', [
    dict(max_seq_length=4), dict(max_predictions_per_seq=0), dict(max_predictions_per_seq=49), dict(dupe_factor=0),
    dict(masked_lm_prob=1.5), dict(short_seq_prob=-0.1), dict(random_seed=-1), dict(records_per_shard=0)])
def test_settings_that_make_no_sense(tmp_path, paths, changes):
  with pytest.raises(UserError, match='^--{}: expected .* from .* found'.format(next(iter(changes)))):
    small_corpus.create(tmp_path / 'd', paths, **changes)


def test_a_vocabulary_of_special_tokens_only(tmp_path):
  paths = small_corpus.write(tmp_path, tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '##a'])
  with pytest.raises(UserError, match='besides the special ones'):
    small_corpus.create(tmp_path / 'd', paths)


def test_duplicates_of_held_out_documents():
  settings = small_corpus.settings('v', dupe_factor=2)
  assert stages.duplicates(settings) == {'train': 2, 'heldout': 5}
  assert stages.duplicates(settings._replace(dupe_factor=12)) == {'train': 12, 'heldout': 12}


def test_a_key_is_of_seed_file_and_offset():
  keys = {stages.document_key(seed, corpus.Document(file, offset, ['x']))
          for seed in range(3) for file in range(3) for offset in range(3)}
  assert len(keys) == 27
  assert stages.document_key(1, corpus.Document(2, 3, ['x'])) == stages.document_key(1, corpus.Document(2, 3, ['y']))


def test_cut_shards():
  assert stages.cut_shards(np.array([5, 0, 5]), 4) == [(0, 1, 0, 4, 0), (0, 3, 4, 4, 4), (2, 3, 3, 2, 8)]
  assert stages.cut_shards(np.array([0, 0]), 4) == []


def test_select_documents():
  documents = assembly.Documents(np.array([7, 8, 9], np.uint64), np.array([4, 5, 6], np.uint64),
                                 np.array([1, 2, 1], np.int32), np.array([2, 1, 3, 1], np.int32),
                                 encoding.pack(np.arange(7), np.ones(7)))
  kept = stages.select_documents(documents, np.array([True, False, True]))
  assert [array.tolist() for array in kept[:4]] == [[7, 9], [4, 6], [1, 1], [2, 1]]
  assert encoding.ids_of(kept.tokens).tolist() == [0, 1, 6]


def test_json_is_readable(tmp_path, paths):
  small_corpus.create(tmp_path / 'd', paths)
  with open(str(tmp_path / 'd' / 'dataset.json'), encoding='utf-8') as source:
    raw = json.load(source)
  assert raw['settings']['inputs'][0]['file'] == 'text.txt' and raw['settings']['random_seed'] == 12345
  assert raw['settings']['heldout_dupe_factor'] == 5
  assert str(tmp_path) not in json.dumps(raw), 'the place of the corpus does not matter'


def test_the_lengths_lie_beside_the_training_records(tmp_path, paths):
  info = small_corpus.create(tmp_path / 'd', paths, records_per_shard=40).info
  for shard, path in zip(info.shards['train'], info.paths('train')):
    records = [example_writer.parse_example(record) for record in tfrecord.read_records(path)]
    expected = [[record['input_mask'].sum(), record['masked_lm_weights'].sum()] for record in records]
    lengths = np.load(contract.lengths_file(path))
    assert lengths.dtype == np.uint16 and lengths.tolist() == expected
    assert shard.packed_rows == len(packing.fill_rows(lengths[:, 0], lengths[:, 1], 48, 7)) <= shard.records
    assert shard.bytes == os.path.getsize(path)
  assert all(shard.packed_rows is None for shard in info.shards['heldout'])


def test_a_data_set_without_sizes_and_rows_still_loads(tmp_path, paths):
  small_corpus.create(tmp_path / 'd', paths)
  path = str(tmp_path / 'd' / 'dataset.json')
  raw = json.load(open(path, encoding='utf-8'))
  for shard in raw['shards']['train']:
    del shard['bytes'], shard['packed_rows']
  del raw['settings']['record_format'], raw['digests'], raw['sha256']
  json.dump(raw, open(path, 'w'))
  info = contract.DatasetInfo.load(str(tmp_path / 'd'))
  assert info.shards['train'][0].packed_rows is None and info.record_format == 'reference'


def test_compact_records_need_ids_of_16_bits(tmp_path):
  tokens = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + ['w{}'.format(number) for number in range(65532)]
  paths = small_corpus.write(tmp_path, tokens=tokens)
  with pytest.raises(UserError, match='at most 65,536 tokens.*found 65,537'):
    small_corpus.create(tmp_path / 'd', paths, record_format='compact')


# Files that are not what they seem.

def _forged_file_name(folder, name):
  """Makes the first shard of a data set one of another name, as one from before there were checksums."""
  path = str(folder / 'dataset.json')
  raw = json.load(open(path, encoding='utf-8'))
  raw['shards']['train'][0]['file'] = name
  del raw['sha256']
  json.dump(raw, open(path, 'w'))


@pytest.mark.parametrize('name', ['../victim.txt', '{}/victim.txt', 'sub/victim.txt', '..', '', 'a\0b', 5, None])
def test_force_deletes_nothing_outside(tmp_path, paths, name):
  small_corpus.create(tmp_path / 'd', paths)
  (tmp_path / 'd' / 'sub').mkdir()
  victims = [tmp_path / 'victim.txt', tmp_path / 'd' / 'sub' / 'victim.txt']
  for victim in victims:
    victim.write_text('mine')
  _forged_file_name(tmp_path / 'd', name.format(tmp_path) if isinstance(name, str) else name)
  with pytest.raises(UserError, match='dataset.json: expected .* name of a file in this folder'):
    small_corpus.create(tmp_path / 'd', paths)
  assert small_corpus.create(tmp_path / 'd', paths, force=True).created
  assert [victim.read_text() for victim in victims] == ['mine'] * 2


def test_force_deletes_only_what_this_tool_makes(tmp_path, paths):
  small_corpus.create(tmp_path / 'd', paths)
  (tmp_path / 'd' / 'thesis.txt').write_text('mine')
  _forged_file_name(tmp_path / 'd', 'thesis.txt')
  small_corpus.create(tmp_path / 'd', paths, force=True)
  assert (tmp_path / 'd' / 'thesis.txt').read_text() == 'mine'


@pytest.mark.parametrize('where', ['{}', '{}.tmp', '.unfinished/{}', '.unfinished/{}.tmp'])
def test_planted_links_are_not_followed(tmp_path, paths, where):
  small_corpus.create(tmp_path / 'e', paths)
  expected = small_corpus.contents(tmp_path / 'e')
  (tmp_path / 'd' / '.unfinished').mkdir(parents=True)
  for name in expected:
    (tmp_path / name).write_text('mine')
    os.symlink(str(tmp_path / name), str(tmp_path / 'd' / where.format(name)))
  small_corpus.create(tmp_path / 'd', [tmp_path / 'text.txt', tmp_path / 'e' / 'vocab.txt'], force=True)
  assert {name: (tmp_path / name).read_text() for name in expected} == dict.fromkeys(expected, 'mine')
  contents = small_corpus.contents(tmp_path / 'd')
  assert {name: contents[name] for name in expected} == expected


def test_a_file_name_that_is_not_utf8(tmp_path, paths):
  small_corpus.create(tmp_path / 'd', paths)
  folder = os.fsencode(str(tmp_path / 'gbk')) + '目录'.encode('gbk')
  os.mkdir(folder)
  name = os.fsdecode(os.path.join(folder, '语料.txt'.encode('gbk')))
  with open(name, 'wb') as target:
    target.write(open(paths[0], 'rb').read() + b'\n\xff\n')
  info = small_corpus.create(tmp_path / 'e', [name, paths[1]], skip_errors=True).info
  shown = '\\xd3\\xef\\xc1\\xcf.txt'
  assert contract.DatasetInfo.load(info.folder).settings['inputs'][0]['file'] == shown
  written = small_corpus.contents(tmp_path / 'e')
  assert written['skipped.tsv'].decode('utf-8').startswith(shown + '\t')
  assert shown in written['data_report.html'].decode('utf-8')
  assert small_corpus.contents(tmp_path / 'd', '.tfrecord') == small_corpus.contents(tmp_path / 'e', '.tfrecord')
  assert not small_corpus.create(tmp_path / 'e', [name, paths[1]], skip_errors=True).created


def _stopped_in_the_middle(tmp_path, paths, monkeypatch):
  """Leaves unfinished work in tmp_path / 'd'."""
  with monkeypatch.context() as patch:
    def fail(*unused):
      raise OSError(28, 'No space left on device')
    patch.setattr(stages, 'write_shard', fail)
    with pytest.raises(UserError, match='free some space, the same command then continues'):
      small_corpus.create(tmp_path / 'd', paths)


@pytest.mark.parametrize('text_moves', [False, True])
def test_unfinished_work_that_was_moved_is_continued(tmp_path, monkeypatch, text_moves):
  (tmp_path / 'a').mkdir()
  paths = small_corpus.write(tmp_path / 'a')
  _stopped_in_the_middle(tmp_path, paths, monkeypatch)
  os.rename(str(tmp_path / 'd'), str(tmp_path / 'moved'))
  if text_moves:
    os.rename(str(tmp_path / 'a'), str(tmp_path / 'b'))
    paths = [path.replace('/a/', '/b/') for path in paths]
  assert small_corpus.create(tmp_path / 'moved', paths).reused == 2
  small_corpus.create(tmp_path / 'e', paths)
  assert small_corpus.contents(tmp_path / 'moved') == small_corpus.contents(tmp_path / 'e')


def _replace(path, content, times=None):
  with open(path + '.new', 'wb') as target:
    target.write(content)
  if times:
    os.utime(path + '.new', ns=times)
  os.replace(path + '.new', path)


@pytest.mark.parametrize('which', [0, 1])
@pytest.mark.parametrize('again', [False, True])
def test_input_that_is_replaced_while_it_is_read_is_refused(tmp_path, paths, monkeypatch, which, again):
  """Also if it is what it was at the end."""
  content = open(paths[which], 'rb').read()
  encode, assemble = stages.encode_unit, stages.assemble_unit

  def replaced(*arguments):
    _replace(paths[which], content.replace('，'.encode(), '。'.encode()))
    return encode(*arguments)

  def put_back(*arguments):
    if again:
      _replace(paths[which], content)
    return assemble(*arguments)

  monkeypatch.setattr(stages, 'encode_unit', replaced)
  monkeypatch.setattr(stages, 'assemble_unit', put_back)
  stages._vocabulary.cache_clear()
  with pytest.raises(UserError, match='{}: .*found that it changed'.format(os.path.basename(paths[which]))):
    small_corpus.create(tmp_path / 'd', paths)
  assert not (tmp_path / 'd').exists()


def test_input_that_was_replaced_before_a_kill_is_read_again(tmp_path, paths, monkeypatch):
  content = open(paths[0], 'rb').read()
  encode = stages.encode_unit
  monkeypatch.setattr(stages, 'encode_unit', lambda *arguments: (
      _replace(paths[0], content.replace('，'.encode(), '。'.encode())), encode(*arguments))[1])
  _stopped_in_the_middle(tmp_path, paths, monkeypatch)
  monkeypatch.setattr(stages, 'encode_unit', encode)
  _replace(paths[0], content)
  assert small_corpus.create(tmp_path / 'd', paths).reused == 0
  small_corpus.create(tmp_path / 'e', paths)
  assert small_corpus.contents(tmp_path / 'd') == small_corpus.contents(tmp_path / 'e')


def test_another_name_or_owner_is_no_other_input(tmp_path, paths, monkeypatch):
  encode = stages.encode_unit
  monkeypatch.setattr(stages, 'encode_unit', lambda *arguments: (os.chmod(paths[0], 0o600), encode(*arguments))[1])
  assert small_corpus.create(tmp_path / 'd', paths).created


@pytest.mark.parametrize('link', [os.symlink, os.link])
def test_one_file_under_two_names_is_read_once(tmp_path, paths, link, caplog):
  link(paths[0], str(tmp_path / 'zz.txt'))
  settings = small_corpus.settings(paths[1])
  info = data_set.create(settings, [paths[0], str(tmp_path / 'zz.txt')], str(tmp_path / 'd')).info
  assert [entry['file'] for entry in info.settings['inputs']] == ['text.txt']
  assert 'zz.txt is the same file as' in caplog.text and 'read once' in caplog.text
  small_corpus.create(tmp_path / 'e', paths)
  assert small_corpus.contents(tmp_path / 'd') == small_corpus.contents(tmp_path / 'e')


@pytest.mark.parametrize('which', [0, 1])
@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: os.symlink('/dev/zero', path)])
def test_what_is_no_file_is_refused(tmp_path, paths, which, make):
  os.remove(paths[which])
  make(paths[which])
  with pytest.raises(UserError, match='expected') as caught:
    small_corpus.create(tmp_path / 'd', paths)
  assert '\n' not in str(caught.value)


def test_ctrl_c_tells_that_the_same_command_continues(tmp_path, paths, caplog, monkeypatch):
  def interrupted(*unused):
    raise KeyboardInterrupt
  with monkeypatch.context() as patch:
    patch.setattr(stages, 'write_shard', interrupted)
    with pytest.raises(KeyboardInterrupt):
      small_corpus.create(tmp_path / 'd', paths)
  assert '.unfinished: the same command continues' in caplog.text
  assert small_corpus.create(tmp_path / 'd', paths).reused > 0


def test_an_error_names_few_of_very_many_paths():
  with pytest.raises(UserError, match='no document of two or more words in 1, 2, 3, ...; is'):
    pipeline._check_texts(0, 0, list('123456'))
