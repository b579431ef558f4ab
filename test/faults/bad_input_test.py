"""Bad text: no crash without a message, no silent loss, no more memory. The reader and the aligner are fuzzed."""

import os
import subprocess
import sys

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies
import numpy as np
import pytest

from albert.common.errors import UserError
from albert.common.files import ROOT
from albert.dataset import tokenization
from tools.preprocessing import assembly
from tools.preprocessing import data_set
from tools.preprocessing import encoding
from tools.preprocessing import masking
from tools.text import corpus

import random_examples
import small_corpus

# Starts many sessions: some minutes in all.
pytestmark = pytest.mark.integration
VOCABULARY = tokenization.Vocabulary(small_corpus.vocabulary_tokens())
# What text is made of: everything, and often what is special to the reader or the tokenizer.
TEXT = strategies.text(strategies.one_of(
    strategies.integers(0, 0x10FFFF - 0x800).map(lambda point: chr(point + 0x800 * (point >= 0xD800))),
    strategies.sampled_from(list('我们喜欢苹果dna疫苗wifi3.5，。！é\u0301\u200b\0\ufffd\u2028\u3000 \r\t\ufeffİǅß'))))


def random_words(text, cuts):
  """A segmenter's answer: text cut at some places."""
  places = sorted({cut % (len(text) + 1) for cut in cuts} | {0, len(text)})
  return [text[a:b] for a, b in zip(places, places[1:])]


TOKENIZER = tokenization.Tokenizer(VOCABULARY)
CUTS = []
ENCODER = encoding.Encoder(TOKENIZER, lambda text: random_words(text, CUTS))


@hypothesis_settings(max_examples=60, deadline=None)
@given(strategies.lists(TEXT.map(lambda text: text.replace('\n', '')), min_size=1, max_size=5),
       strategies.lists(strategies.integers(0, 200), max_size=20))
def test_every_token_is_in_one_word_and_words_cover_the_sentence(sentences, cuts):
  CUTS[:] = cuts
  encoded = ENCODER.encode(sentences)
  ids, words = encoding.ids_of(encoded.tokens), encoding.words_of(encoded.tokens)
  expected = [[piece.id for piece in TOKENIZER.tokenize(sentence)] for sentence in sentences]
  assert encoded.lengths.tolist() == [len(part) for part in expected]
  assert ids.tolist() == sum(expected, [])
  # A sentence begins with a word, so each token belongs to the last one that began.
  begins = (np.cumsum(encoded.lengths) - encoded.lengths)[encoded.lengths > 0]
  assert (words[begins] & encoding.STARTS).all()
  assert set(words.tolist()) <= {encoding.CONTINUES, encoding.STARTS, encoding.AFTER_CLAUSE}


@hypothesis_settings(max_examples=60, deadline=None)
@given(strategies.integers(0, 10**6), strategies.sampled_from([1, 2, 3]))
def test_labels_are_the_input_ids(seed, max_ngram):
  examples = random_examples.make(20, seed=seed)
  batch = masking.mask(examples, random_examples.options(max_ngram=max_ngram))
  for head, ids, words, row in random_examples.rows_of(examples, batch):
    first = int(head['lengths'][0])
    text = [None] + ids[:first] + [None] + ids[first:] + [None]
    kinds = [None] + words[:first] + [None] + words[first:] + [None]
    chosen = [p for p, weight in zip(row['masked_lm_positions'], row['masked_lm_weights']) if weight]
    labels = [label for label, weight in zip(row['masked_lm_ids'], row['masked_lm_weights']) if weight]
    assert labels == [text[position] for position in chosen]
    for position in chosen:
      assert kinds[position] != assembly.CUT
      assert kinds[position] == assembly.STARTS or position - 1 in chosen


@hypothesis_settings(max_examples=60, deadline=None)
@given(content=strategies.binary(max_size=400) | TEXT.map(lambda text: text.encode('utf-8')) | strategies.lists(
    strategies.sampled_from(['我。'.encode(), b'\n', b'\n\n', b'\r\n', b'\xff', b'\0', b'\xef\xbb\xbf', b'ab' * 30])
).map(b''.join), unit_bytes=strategies.integers(1, 60))
def test_the_reader_loses_nothing(tmp_path_factory, content, unit_bytes):
  path = str(tmp_path_factory.getbasetemp() / 'fuzz.txt')
  with open(path, 'wb') as target:
    target.write(content)
  old, corpus.MAX_LINE_BYTES = corpus.MAX_LINE_BYTES, 40
  try:
    sentences, lines = [], 0
    skipped = set()
    for unit in corpus.units([path], 'utf-8', unit_bytes=unit_bytes):
      reader = corpus.Reader(skip_errors=True)
      sentences += [sentence for document in reader.documents(unit) for sentence in document.sentences]
      skipped |= {lines + line for line, _ in reader.skipped}
      lines += reader.lines
  finally:
    corpus.MAX_LINE_BYTES = old
  expected = []
  for number, line in enumerate(content[3 * content.startswith(b'\xef\xbb\xbf'):].split(b'\n')):
    if number not in skipped:
      expected.append(line.decode('utf-8'))  # all that is not utf-8 was named
  without_space = [''.join(''.join(parts).split()) for parts in (sentences, expected)]
  if not any(number in skipped and len(line) > 30 for number, line in enumerate(content.split(b'\n'))):
    assert without_space[0] == without_space[1]


# A process counts the memory of the one that it was forked from as its own; this one is small.
MEASURE = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:], stderr=subprocess.STDOUT)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(code)
"""


def make_in_a_process(folder, name, content, *flags):
  """Runs the data tool: (exit code, output, peak MB)."""
  text_file, vocab_file = small_corpus.write(folder, content)
  command = [sys.executable, '-m', 'tools.create_pretraining_data', '--input_files=' + text_file, '--num_workers=1',
             '--vocab_file=' + vocab_file, '--output_dir=' + str(folder / name)] + list(flags)
  done = subprocess.run([sys.executable, '-c', MEASURE] + command, stdout=subprocess.PIPE, universal_newlines=True,
                        env=dict(os.environ, PYTHONPATH=ROOT))
  return done.returncode, done.stdout, int(done.stdout.split('\n')[-2]) / 1024


@pytest.mark.integration
@pytest.mark.parametrize('segmenter', ['jieba'])
def test_memory_is_flat(tmp_path, segmenter):
  flags = ['--segmenter=' + segmenter, '--dupe_factor=2', '--max_seq_length=128', '--max_predictions_per_seq=20']
  text = small_corpus.text(1000)
  (tmp_path / 'a').mkdir()
  status, output, small = make_in_a_process(tmp_path / 'a', 'd', text, *flags)
  assert status == 0, output
  status, output, large = make_in_a_process(tmp_path, 'd', (text + '\n') * 10, *flags)
  assert status == 0, output
  assert large < 300 and large < small + 40


@pytest.mark.integration
def test_a_line_of_100_megabytes(tmp_path):
  sentence = '我们喜欢苹果。'.encode()
  content = '我喜欢春天的花。\n你喜欢生活。\n\n'.encode() + b'\0' * (1 << 20) + (
      b' ' * 1000 + sentence) * (99 << 10) + b'\n'
  status, output, peak = make_in_a_process(tmp_path, 'd', content, '--dupe_factor=1', '--max_seq_length=128',
                                           '--max_predictions_per_seq=20', '--segmenter=jieba')
  assert status == 0, output
  assert peak < 300 and (tmp_path / 'd' / 'dataset.json').exists()


def test_nul_bytes_marks_and_line_ends_in_a_data_set(tmp_path):
  paths = small_corpus.write(tmp_path, small_corpus.text())
  plain = small_corpus.create(tmp_path / 'd', paths).info
  strange = '\ufeff' + small_corpus.text().replace('\n', '\r\n').replace('，', '\0，')
  info = small_corpus.create(tmp_path / 'e', small_corpus.write(tmp_path, strange)).info
  for name in ('documents', 'sentences', 'tokens'):
    assert info.statistics[name] == plain.statistics[name]


def test_mixed_encodings_are_named(tmp_path):
  content = small_corpus.text().encode() + '\n我们喜欢苹果。\n'.encode('gb18030') + '\n我们喜欢生活。\n'.encode()
  paths = small_corpus.write(tmp_path, content)
  with pytest.raises(UserError, match='line'):
    small_corpus.create(tmp_path / 'd', paths)
  info = small_corpus.create(tmp_path / 'd', paths, skip_errors=True).info
  assert info.statistics['skipped_lines'] == 1
  assert 'text.txt\t{}\tnot in utf-8'.format(small_corpus.text().count('\n') + 2) in (
      tmp_path / 'd' / 'skipped.tsv').read_text(encoding='utf-8')


def test_a_full_disk_is_one_line_and_the_same_call_continues(tmp_path):
  program = """
import resource, signal, sys
sys.path[:0] = [{root!r}, {test!r}]
from tools.preprocessing import data_set
import small_corpus
from albert.common.errors import UserError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
  data_set.create(small_corpus.settings({vocab!r}), [{text!r}], {folder!r})
except UserError as error:
  print(error)
"""
  paths = small_corpus.write(tmp_path)
  folder = str(tmp_path / 'd')
  output = subprocess.check_output([sys.executable, '-c', program.format(
      root=ROOT, test=os.path.join(ROOT, 'test', 'support'), vocab=paths[1], text=paths[0], folder=folder)],
      universal_newlines=True)
  assert output.count('\n') == 1 and 'free some space' in output
  assert os.listdir(folder) == [data_set.WORK_FOLDER]
  assert small_corpus.create(folder, paths).reused > 0


def test_an_unreadable_file_among_many(tmp_path):
  folder = tmp_path / 'texts'
  folder.mkdir()
  (folder / 'a.txt').write_text(small_corpus.text(), encoding='utf-8')
  (folder / 'b.txt.gz').write_bytes(b'no gzip')
  vocab_file = small_corpus.write(tmp_path)[1]
  with pytest.raises(UserError, match='b.txt.gz: expected a text file') as error:
    data_set.create(small_corpus.settings(vocab_file), [str(folder)], str(tmp_path / 'd'))
  assert '\n' not in str(error.value) and not os.path.exists(str(tmp_path / 'd'))
