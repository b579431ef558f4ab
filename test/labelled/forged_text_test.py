"""Whatever is in a file of labelled text, it is read, or refused in one line."""

import hypothesis
import hypothesis.strategies as st
import pytest

from albert.common.errors import UserError
from albert.dataset import tokenization
from albert.labelled import encoding
from albert.labelled.example import BadLine
from albert.labelled.options import LabelledOptions
from albert.labelled import sources

PARTS = [
    '{', '}', '[', ']', '"', ':', ',', '\t', '\n', '\r\n', ' ', '\\', '"text":', '"label":', '"甲"', 'null', '1',
    '-1.5', '{"text": "甲", "label": "a"}\n', '{"text": "乙乙", "label": ["b"]}\n',
    '{"text": "甲", "label": "\\ud800"}\n',
    '{"text": "丙", "label": {"x": {"丙": [[0, 0]]}}}\n', '{"data": [', '"context": "甲乙"', '"question": "?"',
    '"qas": [', '"answers": ', '{"context": "甲", "question": "乙"}\n',
    'text_a\tlabel\n', '甲 乙\tO B-x\n', '甲 O\n', '乙 B-x\n',
    '丙 I-x\n', '\ufeff', '\x00', '1e999', 'NaN', '\\ud800', '[[[[', 'a\tb\n', 'text,label\n', '甲,1\n', '"开\n']
CONTENT = st.one_of(st.lists(st.sampled_from(PARTS), max_size=25).map(lambda parts: ''.join(parts).encode('utf-8')),
                    st.binary(max_size=60))
VOCABULARY = tokenization.Vocabulary(list(tokenization.SPECIAL_TOKENS) + list('甲乙丙'))


@pytest.mark.parametrize('kind', ['classify', 'regress', 'tag', 'read'])
@hypothesis.settings(max_examples=60, deadline=None,
                     suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(content=CONTENT, name=st.sampled_from(['train.json', 'train.tsv', 'train.csv', 'train.txt']),
                  options=st.sampled_from([{}, {'multi_label': True, 'unknown_labels': 'skip', 'text_a': 'text'}]))
def test_any_content_is_read_or_refused(tmp_path, kind, content, name, options):
  for suffix in ('json', 'tsv', 'csv', 'txt'):
    if (tmp_path / ('train.' + suffix)).exists():
      (tmp_path / ('train.' + suffix)).unlink()
  (tmp_path / name).write_bytes(content)
  options = LabelledOptions(max_seq_length=8, **options)
  try:
    splits = sources.open_splits(str(tmp_path), kind, options)
  except UserError as error:
    assert '\n' not in str(error)
  else:
    str(splits.labels.names).encode('utf-8')
    encoder = encoding.Encoder(kind, tokenization.Tokenizer(VOCABULARY), options, splits.labels)
    for example in splits.train + splits.dev:
      assert encoder.windows(example, training=True) and encoder.windows(example)
  try:
    lines = [entry.line for entry in sources.read_labelled(str(tmp_path / name), kind, options, labelled=False)]
  except UserError as error:
    assert '\n' not in str(error)
  else:
    assert lines == sorted(lines) and len(lines) <= content.count(b'\n') + 1 + content.count(b'[') * 9
  for entry in _read_all(str(tmp_path / name), kind, options):
    assert not isinstance(entry, BadLine) or '\n' not in entry.error


def _read_all(path, kind, options):
  try:
    yield from sources.read_labelled(path, kind, options)
  except UserError:
    pass
