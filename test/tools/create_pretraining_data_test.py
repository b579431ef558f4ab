"""tools.create_pretraining_data as a program, and what it makes of real text."""

import functools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from albert.common.files import ROOT
from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.dataset import tokenization
from tools.preprocessing import data_set
from tools.text import segmentation

import small_corpus

SAMPLE = os.path.join(ROOT, 'data', 'sample_zh.txt')


def run(*arguments, **options):
  result = subprocess.run(
      [sys.executable, '-m', 'tools.create_pretraining_data'] + list(arguments), stdout=subprocess.PIPE,
      stderr=subprocess.PIPE, universal_newlines=True, env=dict(os.environ, PYTHONPATH=ROOT), **options)
  return result


SMALL = ('--max_seq_length=48', '--max_predictions_per_seq=7', '--dupe_factor=2')


def test_the_program(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path)
  arguments = SMALL + ('--input_files=' + text_file, '--output_dir=' + str(tmp_path / 'd'),
                       '--vocab_file=' + vocab_file)
  first = run(*arguments)
  assert first.returncode == 0, first.stderr
  for part in ('training', 'held out', str(tmp_path / 'd'), '30 documents', 'left out    nothing', 'examples/s',
               'are in no record'):
    assert part in first.stdout
  second = run(*arguments)
  assert second.returncode == 0 and second.stdout.startswith('finished data set, nothing to do')
  third = run('--random_seed=1', *arguments)
  assert third.returncode == 1 and third.stderr.count('\n') == 1 and third.stderr.startswith('error: ')
  assert run('--random_seed=1', '--force', *arguments).returncode == 0


def test_rows_that_packing_would_save_are_a_hint(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path)
  arguments = ('--input_files=' + text_file, '--vocab_file=' + vocab_file, '--dupe_factor=2')
  result = run('--output_dir=' + str(tmp_path / 'long'), '--max_seq_length=512', *arguments)
  assert 'hint        ' in result.stdout and 'With packing (SET="InputOptions.packing=True")' in result.stdout
  result = run('--output_dir=' + str(tmp_path / 'short'), '--max_seq_length=24', '--max_predictions_per_seq=4',
               *arguments)
  assert result.returncode == 0 and 'InputOptions.packing' not in result.stdout


def test_repeated_documents_are_a_warning(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path, small_corpus.text() + '\n' + small_corpus.text(2))
  arguments = SMALL + ('--input_files=' + text_file, '--vocab_file=' + vocab_file)
  result = run('--output_dir=' + str(tmp_path / 'd'), *arguments)
  assert 'warning     2 documents repeat the text of an earlier one; --duplicates=exact' in result.stdout
  result = run('--output_dir=' + str(tmp_path / 'e'), '--duplicates=exact', *arguments)
  assert 'earlier one;' not in result.stdout and '2 duplicates' in result.stdout


@pytest.mark.integration
def test_a_vocabulary_is_built_from_what_the_records_are_made_of(tmp_path):
  """JSON, escaped, with full-width letters: both programs read and clean it alike."""
  lines = [json.dumps({'id': 'ZZZ', 'content': '\n'.join(document).replace('wifi', 'ＷＩＦＩ')})
           for document in small_corpus.documents(60)]
  (tmp_path / 'a.json').write_text('\n'.join(lines) + '\n')
  text = ('--input_files=' + str(tmp_path / 'a.json'), '--text_field=content', '--normalization=nfkc')
  vocab = tmp_path / 'vocab.txt'
  for refused in (build_vocab('--output_file=' + str(vocab), text[0]),
                  run('--output_dir=d', '--vocab_file=v', text[0])):
    assert refused.returncode == 1 and 'found JSON objects with the fields id, content' in refused.stderr
  assert build_vocab('--output_file=' + str(vocab), *text).returncode == 0
  result = run('--output_dir=' + str(tmp_path / 'd'), '--vocab_file=' + str(vocab), *text + SMALL)
  assert ' 0.00% [UNK]' in result.stdout and 'warning' not in result.stdout + result.stderr
  tokens = vocab.read_text(encoding='utf-8').split('\n')
  assert '喜' in tokens and 'z' in tokens and '##zz' not in tokens and 'ｗ' in tokens[-210:]

  # The same vocabulary for other text, and for the same text read otherwise.
  (tmp_path / 'b.txt').write_text(small_corpus.text(20) + '，弈棋。', encoding='utf-8')
  result = run('--output_dir=' + str(tmp_path / 'e'), '--vocab_file=' + str(vocab),
               '--input_files=' + str(tmp_path / 'b.txt'), *SMALL)
  assert result.returncode == 0 and 'was built from other text (a.json); remove it' in result.stderr
  result = run('--output_dir=' + str(tmp_path / 'f'), '--vocab_file=' + str(vocab), *text[:2] + SMALL)
  assert result.returncode == 0 and "was built with normalization 'nfkc' instead of 'none'" in result.stderr


def build_vocab(*arguments):
  return subprocess.run(
      [sys.executable, '-m', 'tools.build_vocab'] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      universal_newlines=True, env=dict(os.environ, PYTHONPATH=ROOT))


def test_unknown_text_is_a_warning_and_then_an_error(tmp_path):
  known = small_corpus.text(40)
  for share, missing in ((0.0, ''), (0.03, '弈'), (0.4, '弈魑魅魍')):
    text = known + ''.join('\n\n好' + missing * 60 for _ in range(3))
    tokens = small_corpus.vocabulary_tokens() + ['慢', '好']
    text_file, vocab_file = small_corpus.write(tmp_path, text, tokens)
    result = run('--output_dir=' + str(tmp_path / str(share)), '--input_files=' + text_file,
                 '--vocab_file=' + vocab_file, *SMALL)
    assert (result.returncode, '% of the tokens are [UNK]' in result.stdout) == (share > 0.1, 0 < share < 0.1)
    if 0 < share < 0.1:  # one share in one form
      text_line, warning = [line for line in result.stdout.splitlines() if '[UNK]' in line]
      assert re.search(r'([0-9.]+%) of the tokens', warning).group(1) + ' [UNK]' in text_line
  assert 'found ' in result.stderr and 'most often 弈 (180), 魅 (180)' in result.stderr
  assert result.stderr.count('\n') == 1 and 'VOCAB' in result.stderr
  assert not (tmp_path / '0.4').exists(), 'nothing is left'


def test_the_original_flags(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path)
  (tmp_path / 'data').mkdir()
  result = run('--do_whole_word_mask=True', '--input_file=' + os.path.basename(text_file),
               '--output_file=./data/tf_news.tfrecord', '--vocab_file=' + vocab_file, '--do_lower_case=True',
               '--max_seq_length=48', '--max_predictions_per_seq=7', '--masked_lm_prob=0.10', '--dupe_factor=2',
               cwd=str(tmp_path))
  assert result.returncode == 0, result.stderr
  info = contract.DatasetInfo.load(str(tmp_path / 'data'))
  whole = list(tfrecord.read_records(str(tmp_path / 'data' / 'tf_news.tfrecord')))
  assert whole == [record for path in info.paths('train') for record in tfrecord.read_records(path)]
  assert info.settings['do_whole_word_mask'] is True


@pytest.mark.parametrize('arguments, words', [
    ((), '--output_dir'), (('--output_dir=d',), '--input_files'),
    (('--output_dir=d', '--input_files=text.txt'), '--vocab_file'),
    (('--output_dir=d', '--input_files=none.txt', '--vocab_file=vocab.txt'), 'none.txt'),
    (('--output_dir=d', '--input_files=text.txt', '--vocab_file=none'), 'expected a vocabulary at none'),
    (('--output_dir=d', '--input_files=text.txt', '--vocab_file=vocab.txt', '--encoding=klingon'), 'klingon'),
    (('--output_dir=d', '--input_files=text.txt', '--vocab_file=vocab.txt', '--segmenter=x'), 'segmenter'),
    (('--output_dir=d', '--input_files=text.txt', '--vocab_file=vocab.txt', '--typo=1'), 'typo'),
    (('--output_dir=d', '--input_files=text.txt', '--vocab_file=vocab.txt', 'leftover'), 'leftover')])
def test_bad_arguments(tmp_path, arguments, words):
  small_corpus.write(tmp_path)
  result = run(*arguments, cwd=str(tmp_path))
  assert result.returncode == 1 and result.stdout == ''
  assert result.stderr.startswith('error: ') and result.stderr.count('\n') == 1 and words in result.stderr
  assert not (tmp_path / 'd' / 'dataset.json').exists()


def test_gb18030(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path, small_corpus.text().encode('gb18030'))
  arguments = SMALL + ('--input_files=' + text_file, '--output_dir=' + str(tmp_path / 'd'),
                       '--vocab_file=' + vocab_file)
  refused = run(*arguments)
  assert refused.returncode == 1 and '--encoding' in refused.stderr
  assert run('--encoding=gb18030', *arguments).returncode == 0


class RealText:
  """The sample corpus as a data set, and a second, slow view of its text.

  Attributes:
    records: list of parsed training records.
    vocabulary: `tokenization.Vocabulary` of all characters of the text.
    text: the ids of all documents as one string of code points, a space between documents.
    owners: the number of the word that each of its characters belongs to.
  """

  def __init__(self, folder):
    content = open(SAMPLE, encoding='utf-8').read() if os.path.exists(SAMPLE) else small_corpus.text(300)
    characters = sorted({char.lower() for char in content if char.strip()})
    tokens = ['[PAD]', '[unused1]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'] + characters + ['##' + c for c in characters]
    text_file, vocab_file = small_corpus.write(folder, content, tokens)
    settings = small_corpus.settings(vocab_file, max_seq_length=256, max_predictions_per_seq=26, dupe_factor=10)
    self.info = data_set.create(settings, [text_file], os.path.join(folder, 'd')).info
    self.records = [example_writer.parse_example(record) for split in ('train', 'heldout')
                    for path in self.info.paths(split) for record in tfrecord.read_records(path)]
    self.vocabulary = tokenization.Vocabulary.load(vocab_file)
    self._index(content)

  def _index(self, content):
    tokenizer, segment = tokenization.Tokenizer(self.vocabulary), segmentation.segmenter('jieba')
    ids, self.owners, word_number = [], [], 0
    for line in content.split('\n'):
      word_of = []
      for word in segment(line.strip()):
        word_of += [word_number] * len(word)
        word_number += 1
      for piece in tokenizer.tokenize(line.strip()):
        ids.append(chr(0x100 + piece.id))
        self.owners.append(self.owners[-1] if piece.continues else word_of[piece.start])
      if not line.strip():
        ids.append(' ')
        self.owners.append(-1)
    self.text = ''.join(ids)


@pytest.fixture(scope='module')
def real_text(tmp_path_factory):
  return RealText(str(tmp_path_factory.mktemp('real')))


def original_ids(record):
  ids = record['input_ids'].copy()
  weights = record['masked_lm_weights'] > 0
  ids[record['masked_lm_positions'][weights]] = record['masked_lm_ids'][weights]
  return ids


def segments(record, vocabulary):
  """The positions of both segments, without special tokens."""
  length = int(record['input_mask'].sum())
  first_sep = 1 + int(np.flatnonzero(record['segment_ids'] == 1)[0]) - 2
  assert record['input_ids'][[0, first_sep, length - 1]].tolist() == [
      vocabulary.cls_id, vocabulary.sep_id, vocabulary.sep_id]
  return range(1, first_sep), range(first_sep + 1, length - 1)


def places_in_text(record, text, vocabulary):
  """Yields the positions of each segment and where its text begins; the two are in order and of one document."""
  ids = original_ids(record)
  first, second = segments(record, vocabulary)
  early, late = (second, first) if record['next_sentence_labels'][0] else (first, second)
  early_text, late_text = (''.join(chr(0x100 + ids[position]) for position in part) for part in (early, late))
  # A short segment may be found in many places: the longer one says which.
  if len(early) >= len(late):
    early_place = text.find(early_text)
    late_place = text.find(late_text, early_place + len(early))
  else:
    late_place = text.find(late_text)
    early_place = text.rfind(early_text, 0, late_place)
  assert early_place >= 0 and late_place >= 0, 'the labels and the rest of the input are the text, in order'
  assert ' ' not in text[early_place:late_place], 'of one document'
  yield early, early_place
  yield late, late_place


def test_words_are_masked_entirely_or_not_at_all(real_text):
  owners = real_text.owners + [-1]
  sizes = []
  for record in real_text.records:
    masked = set(record['masked_lm_positions'][record['masked_lm_weights'] > 0].tolist())
    for segment, place in places_in_text(record, real_text.text, real_text.vocabulary):
      by_word = {}
      for position, owner in zip(segment, owners[place:]):
        by_word.setdefault(owner, []).append(position)
      for owner, positions in by_word.items():
        chosen = [position in masked for position in positions]
        assert all(chosen) or not any(chosen)
        assert owner not in (owners[place - 1], owners[place + len(segment)]), 'no word is cut'
        if any(chosen):
          sizes.append(len(positions))
  assert {1, 2, 3, 4} <= set(sizes)


def test_the_share_of_masked_tokens(real_text):
  masked = np.array([record['masked_lm_weights'].sum() for record in real_text.records])
  lengths = np.array([record['input_mask'].sum() for record in real_text.records])
  for share in (masked.sum() / lengths.sum(), masked.sum() / (lengths - 3).sum(), (masked / (lengths - 3)).mean(),
                (masked / lengths).mean()):
    assert 0.095 <= share <= 0.100


def test_eighty_ten_ten(real_text):
  inputs, labels = [], []
  for record in real_text.records:
    weights = record['masked_lm_weights'] > 0
    inputs += record['input_ids'][record['masked_lm_positions'][weights]].tolist()
    labels += record['masked_lm_ids'][weights].tolist()
  inputs, labels = np.array(inputs), np.array(labels)
  masked, kept = inputs == real_text.vocabulary.mask_id, inputs == labels
  assert len(labels) > 10000
  assert abs(masked.mean() - 0.8) < 0.01 and abs(kept.mean() - 0.1) < 0.01
  others = set(inputs[~masked & ~kept].tolist())
  assert len(others) > 100 and others <= set(real_text.vocabulary.replacement_ids())


def test_half_of_the_segments_are_swapped_and_token_counts_are_the_texts(real_text):
  swapped = np.mean([record['next_sentence_labels'][0] for record in real_text.records])
  assert abs(swapped - 0.5) < 0.05
  counts = np.loadtxt(real_text.info.token_counts_file, dtype=np.int64)
  assert len(counts) == len(real_text.vocabulary)
  everything = np.bincount([ord(char) - 0x100 for char in real_text.text if char != ' '], minlength=len(counts))
  assert (counts <= everything).all() and 0.8 < counts.sum() / everything.sum() < 1


@functools.lru_cache(maxsize=None)
def parse_with_tensorflow(paths, max_seq_length, max_predictions):
  kinds = {'int64': tf.int64, 'float32': tf.float32}
  specs = {spec.name: tf.io.FixedLenFeature(
      [record_format.feature_length(spec, max_seq_length, max_predictions)], kinds[spec.kind])
      for spec in record_format.WRITTEN_FEATURES}
  records = [record for path in paths for record in tf.compat.v1.io.tf_record_iterator(path)]
  with tf.compat.v1.Session() as session:
    return session.run(tf.io.parse_example(records, specs))


def test_tensorflow_reads_the_records(real_text):
  batch = parse_with_tensorflow(tuple(real_text.info.paths('train') + real_text.info.paths('heldout')), 256, 26)
  assert len(batch['input_ids']) == len(real_text.records)
  for number, record in enumerate(real_text.records[:50]):
    for name, values in record.items():
      np.testing.assert_array_equal(batch[name][number], values)
