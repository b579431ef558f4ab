"""tools.inspect_records: what a person sees, and what is refused."""

import os
import subprocess
import sys

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset import example_writer
from albert.dataset import record_format
from albert.dataset import tfrecord
from albert.dataset import tokenization
from tools import inspect_records
from tools.preprocessing import data_set
from tools.preprocessing import readable

import small_corpus

TOKENS = '[PAD] [UNK] [CLS] [SEP] [MASK] 我 喜 欢 画 龙 点 睛 。 wi ##fi 春'.split()
VOCABULARY = tokenization.Vocabulary(TOKENS)


def run(*arguments):
  return subprocess.run(
      [sys.executable, '-m', 'tools.inspect_records'] + list(arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      universal_newlines=True, env=dict(os.environ, PYTHONPATH=ROOT, PYTHONIOENCODING='utf-8'))


def example():
  """[CLS] 我 喜欢 画龙点睛 [SEP] wifi 。 [SEP]: 喜欢 masked with one replaced, wifi masked, 。 kept."""
  ids = '[CLS] 我 [MASK] 春 画 龙 点 睛 [SEP] [MASK] [MASK] 。 [SEP] [PAD] [PAD]'.split()
  return {
      'input_ids': np.array([VOCABULARY.ids[token] for token in ids]),
      'input_mask': np.array([1] * 13 + [0] * 2), 'segment_ids': np.array([0] * 9 + [1] * 4 + [0] * 2),
      'masked_lm_positions': np.array([2, 3, 9, 10, 11, 0]),
      'masked_lm_ids': np.array([VOCABULARY.ids[token] for token in '喜 欢 wi ##fi 。'.split()] + [0]),
      'masked_lm_weights': np.array([1, 1, 1, 1, 1, 0], np.float32),
      'next_sentence_labels': np.array([1]),
      'token_boundary': np.array([1, 1, 1, 0, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0])}


def test_words_masks_labels_and_order():
  text = readable.describe(example(), VOCABULARY).split('\n')
  assert text[0].startswith('13 of 15 positions used, 5 masked (38.5%)') and 'swapped' in text[0]
  assert text[1] == 'A       我 【喜欢→[MASK]春】 画龙点睛'
  assert text[2] == 'B       【wifi】 【。=】'
  assert text[3] == 'labels  2 喜 欢←[MASK] 春; 9 wi ##fi←[MASK] [MASK]; 11 。←。'
  other = dict(example(), next_sentence_labels=np.array([0]))
  assert 'swapped' not in readable.describe(other, VOCABULARY)


def test_without_word_boundaries():
  bare = {name: values for name, values in example().items() if name != 'token_boundary'}
  text = readable.describe(bare, VOCABULARY).split('\n')
  assert text[1] == 'A       我 【喜】 【欢→春】 画 龙 点 睛' and text[2].startswith('B       【wi】')


def test_the_program(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path)
  info = data_set.create(small_corpus.settings(vocab_file), [text_file], str(tmp_path / 'd')).info
  result = run('--input_files=' + str(tmp_path / 'd'), '--num_examples=2', '--skip=1')
  assert result.returncode == 0, result.stderr
  assert info.shards['train'][0].file + ' record 1' in result.stdout and 'record 2\n' in result.stdout
  assert 'record 0' not in result.stdout and 'record 3' not in result.stdout
  original = small_corpus.text()
  line = [line for line in result.stdout.split('\n') if line.startswith('A  ')][0]
  plain = [word for word in line.split()[1:] if '【' not in word and '[UNK]' not in word]
  assert plain and all(word in original.lower() for word in plain)
  held = run('--input_files=' + info.paths('heldout')[0], '--num_examples=1', '--vocab_file=' + vocab_file)
  assert held.returncode == 0 and 'heldout-00000-of-00001.tfrecord record 0' in held.stdout


def write_records(path, examples):
  writer = example_writer.ExampleWriter([
      record_format.FeatureSpec(name, 'float32' if values.dtype == np.float32 else 'int64', 0)
      for name, values in example().items()])
  with open(str(path), 'wb') as target:
    for one in examples:
      target.write(tfrecord.frame(*writer.records({name: values[None] for name, values in one.items()})))
  return str(path)


def test_other_vocabularies_are_refused(tmp_path):
  records = write_records(tmp_path / 'r.tfrecord', [example()])
  with pytest.raises(UserError, match='name it with --vocab_file'):
    inspect_records.find_vocabulary(records, None)
  small = tokenization.Vocabulary(TOKENS[:8])
  with pytest.raises(UserError, match='expected ids below 8'):
    readable.describe(example(), small)
  text_file, vocab_file = small_corpus.write(tmp_path)
  info = data_set.create(small_corpus.settings(vocab_file), [text_file], str(tmp_path / 'd')).info
  (tmp_path / 'other.txt').write_text('\n'.join(TOKENS), encoding='utf-8')
  with pytest.raises(UserError, match='expected the vocabulary that the data set'):
    inspect_records.find_vocabulary(info.paths('train')[0], str(tmp_path / 'other.txt'))


def test_what_is_no_record(tmp_path):
  for arguments, words in (((), '--input_files'), (('--input_files=' + str(tmp_path),), 'dataset.json'),
                           (('--input_files=none*',), 'found none'), (('--num_examples=0',), 'num_examples')):
    result = run(*arguments)
    assert result.returncode == 1 and words in result.stderr and result.stderr.count('\n') == 1
  few = {name: values for name, values in example().items() if name != 'segment_ids'}
  with pytest.raises(UserError, match='found no segment_ids'):
    readable.describe(few, VOCABULARY)


def test_compact_records_have_words_and_no_masks(tmp_path):
  text_file, vocab_file = small_corpus.write(tmp_path)
  info = data_set.create(small_corpus.settings(vocab_file, record_format='compact'), [text_file],
                         str(tmp_path / 'd')).info
  record = next(tfrecord.read_records(info.paths('train')[0]))
  text = readable.describe(example_writer.parse_example(record), tokenization.Vocabulary.load(vocab_file))
  assert 'labels  none' in text and '【' not in text and ' 0 masked' in text
  assert len(text.split('\n')[1].split(' ')) > 3


@pytest.mark.parametrize('feature,value', [
    ('segment_ids', 2), ('masked_lm_positions', 99), ('next_sentence_labels', 7)])
def test_numbers_that_lead_elsewhere_are_one_line(tmp_path, feature, value):
  bad = example()
  bad[feature] = bad[feature].copy()
  bad[feature][0] = value
  records = write_records(tmp_path / 'r.tfrecord', [bad])
  record = next(tfrecord.read_records(records))
  with pytest.raises(UserError, match='r 0: expected a record .*found {} holds {}'.format(feature, value)):
    inspect_records._checked(record, len(VOCABULARY), 'r 0')
