"""albert.dataset.data_files: what is no dataset.json, token_counts.txt, ... is told in one line, or left out."""

import json
import os

import numpy as np
import pytest

from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import data_files
from albert.dataset import lost_records


def _said(**changes):
  """What a dataset.json of before there were checksums says."""
  said = {
      'format_version': 1, 'max_seq_length': 24, 'max_predictions_per_seq': 5, 'vocab_size': 60, 'vocab_sha256': 'ab',
      'settings': {'record_format': 'reference', 'inputs': [{'file': 'text.txt', 'sha256': 'cd'}]},
      'statistics': {'documents': 4}, 'shards': {
          'train': [{'file': 'train-0', 'records': 9, 'sha256': 'ab', 'bytes': 900, 'packed_rows': 4},
                    {'file': 'train-1', 'records': 5, 'sha256': 'ab', 'bytes': 500, 'packed_rows': 5}],
          'heldout': [{'file': 'heldout-0', 'records': 2, 'sha256': None}]}}
  said.update(changes)
  return said


def _load(folder, content):
  path = os.path.join(str(folder), 'dataset.json')
  with open(path, 'wb') as target:
    target.write(content if isinstance(content, bytes) else json.dumps(content).encode('utf-8'))
  return contract.DatasetInfo.load(str(folder))


def _shard(**changes):
  said = _said()
  said['shards']['train'][1].update(changes)
  return said


def test_a_description_is_read(tmp_path):
  info = _load(tmp_path, _said())
  assert info.records('train') == 14 and info.shards['heldout'][0] == contract.Shard('heldout-0', 2, None)
  assert _load(tmp_path, _said(shards={'train': _said()['shards']['train'], 'heldout': []})).records('heldout') == 0


@pytest.mark.parametrize('content', [
    b'', b'{', b'null', b'[]', b'5', b'"x"', b'\xff\xfe', b'{"a": NaN}', b'[' * 100000, b'{"a":' * 100000,
    b'{"format_version": 1' + b'0' * 10**6 + b'}', json.dumps(_said()).encode('utf-8')[:-1],
    _said(format_version=2), _said(format_version='1'), _said(format_version=None),
    {key: value for key, value in _said().items() if key != 'shards'},
    _said(max_seq_length=24.0), _said(max_seq_length='24'), _said(max_seq_length=-5), _said(max_seq_length=10**12),
    _said(max_seq_length=True), _said(max_predictions_per_seq=25), _said(max_predictions_per_seq=0),
    _said(vocab_size=0), _said(vocab_size=[]), _said(vocab_sha256=5), _said(settings=[]), _said(settings=None),
    _said(settings={'record_format': 'other'}), _said(settings={'record_format': []}),
    _said(settings={'record_format': 'compact'}), _said(settings={'record_format': 'compact', 'masked_lm_prob': 1.5}),
    _said(settings={'record_format': 'compact', 'masked_lm_prob': 0.1, 'max_ngram': 9}),
    _said(settings={'inputs': 5}), _said(settings={'inputs': [5]}), _said(settings={'inputs': [{'file': 5}]}),
    _said(statistics=[]), _said(statistics={'documents': -1}), _said(statistics={'documents': '4'}),
    _said(shb256='ab'),
    _said(digests=[]), _said(digests={'../x': 'ab'}), _said(digests={'x': 5}), _said(sha256='ab'), _said(sha256=None),
    _said(shards=[]), _said(shards={}), _said(shards={'train': []}), _said(shards={'train': 5, 'heldout': []}),
    _said(shards={'train': [5], 'heldout': []}), _said(shards={'train': [{}], 'heldout': []}),
    _said(shards=dict(_said()['shards'], other=[])),
    _shard(records='5'), _shard(records=3.5), _shard(records=10**12), _shard(records=-5), _shard(records=0),
    _shard(records=None), _shard(records=True), _shard(file=5), _shard(file='../x'), _shard(file='/etc/passwd'),
    _shard(file=''), _shard(file='train-0'), _shard(file='heldout-0'), _shard(file='\ud83d'), _shard(sha256=5),
    _shard(bytes=10), _shard(bytes='500'), _shard(packed_rows=10**9), _shard(packed_rows=0), _shard(packed_rows='5'),
    _shard(other=1)])
@pytest.mark.fault('forged: dataset.json')
def test_what_is_no_description_is_one_line(tmp_path, content):
  with pytest.raises(UserError) as caught:
    _load(tmp_path, content)
  words = str(caught.value)
  assert words.startswith('{}: expected the output of tools.create_pretraining_data, found '.format(
      tmp_path / 'dataset.json')) and words.endswith('; restore it or make the data set again')
  assert '\n' not in words and len(words) < 500


@pytest.mark.parametrize('make', [os.mkfifo, os.mkdir, lambda path: os.symlink('/dev/zero', path),
                                  lambda path: os.symlink('nowhere', path)])
@pytest.mark.fault('forged: pipes and devices')
def test_what_is_no_file_is_one_line(tmp_path, make):
  make(str(tmp_path / 'dataset.json'))
  with pytest.raises(UserError, match='dataset.json: expected .* cannot be read'):
    contract.DatasetInfo.load(str(tmp_path))


def test_a_description_knows_that_it_was_changed(tmp_path):
  info = _load(tmp_path, _said())
  info.save()
  path = tmp_path / 'dataset.json'
  content = path.read_bytes()
  assert contract.DatasetInfo.load(str(tmp_path)).records('train') == 14
  for old, new in ((b'"documents": 4', b'"documents": 5'), (b'"records": 9', b'"records": 8'), (b'text.', b'test.')):
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(UserError, match='it was changed since'):
      contract.DatasetInfo.load(str(tmp_path))


def test_token_counts(tmp_path):
  path = str(tmp_path / 'x')

  def read(content, sha256=None):
    with open(path, 'wb') as target:
      target.write(content)
    return data_files.read_token_counts(path, 3, sha256)

  counts = read(b'0\n30\n7\n')
  assert counts.dtype == np.int64 and counts.tolist() == [0, 30, 7]
  for content, sha256 in [(b'0\n30\n7\n', 'another')] + [(content, None) for content in (
      b'', b'0\n3\n', b'0\n3\n7', b'0\n3\n7\n8\n', b'0\n3\nx\n', b'0\n3\n-7\n', b'0\n3\n7.0\n', b'0\n3\n\n',
      b'\xff\n3\n7\n', b'0\n3\n' + b'9' * 30 + b'\n', b'0\n3\n nan\n')]:
    with pytest.raises(UserError, match='x: expected 3 counts, found .*; restore it') as caught:
      read(content, sha256)
    assert '\n' not in str(caught.value)
  with pytest.raises(UserError, match='cannot be read'):
    data_files.read_token_counts(str(tmp_path), 3)


def test_lengths(tmp_path):
  path, lengths = str(tmp_path / 'x.npy'), np.array([[5, 1], [24, 5]], np.uint16)
  np.save(path, lengths)
  assert data_files.read_lengths(path, 2, 24, 5).tolist() == lengths.tolist()
  assert data_files.read_lengths(path, 2, 24, 5, 'another') is None
  assert data_files.read_lengths(path, 2, 23, 5) is None
  for bad in (lengths.T, lengths[:1], lengths.astype(np.int64), lengths.astype(object), np.asfortranarray(lengths)):
    np.save(path, bad)
    assert data_files.read_lengths(path, 2, 24, 5) is None
  with open(path, 'wb') as target:
    target.write(b"\x93NUMPY\x01\x00v\x00{'descr': '<u2', 'fortran_order': False, 'shape': (10**12, 2), }")
  assert data_files.read_lengths(path, 2, 24, 5) is None
  assert data_files.read_lengths(str(tmp_path), 2, 24, 5) is None


LOST = contract.DatasetInfo('absent', 24, 5, 60, None, {
    'train': [contract.Shard('a', 50000, None)], 'heldout': [contract.Shard('b', 4, None)]})


@pytest.mark.parametrize('content,known,unfit', [
    ('', [], 0), ('head\n', [], 0), ('head\na\t3\tabsent\twhy\n', [3], 0),
    ('head\na\t3\tabsent\twhy\na\t4\tabs', [3], 1),
    ('head\na\t3\t5-7\twhy\n', [], 0), ('a\n\n\n', [], 2), ('head\nb\t4\tabsent\twhy\n', [], 1),
    ('head\na\t50000\tabsent\twhy\n', [], 1), ('head\na\t-3\tabsent\twhy\n', [], 1),
    ('head\na\tx\tabsent\twhy\n', [], 1),
    ('head\na\t' + '9' * 5000 + '\tabsent\twhy\n', [], 1), ('head\n../a\t3\tabsent\twhy\n', [], 1),
    # Of the data of another phase.
    ('head\nc\t3\tabsent\twhy\n', [], 0), ('head\na\t50000\t5-7\twhy\n', [], 0),
    ('head\na\t²\tabsent\twhy\n', [], 1)])
@pytest.mark.fault('forged: lost_records.tsv')
def test_lost_records_that_cannot_be_are_left_out(tmp_path, content, known, unfit, caplog):
  (tmp_path / 'lost_records.tsv').write_text(content, encoding='utf-8')
  lost = lost_records.LostRecords(LOST, str(tmp_path))
  assert [index for index in range(10) if ('a', index) in lost] == known and len(lost) == len(known)
  assert ('{} that say something else'.format(unfit) in caplog.text) == bool(unfit)
  lost.add('a', [7], 'test')
  assert ('a', 7) in lost_records.LostRecords(LOST, str(tmp_path))


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: os.symlink('/dev/zero', path),
                                  lambda path: open(path, 'wb').write(os.urandom(1000))])
@pytest.mark.parametrize('name', ['lost_records.tsv', 'checked_records.tsv'])
@pytest.mark.fault('forged: lost_records.tsv')
def test_what_is_no_list_is_none(tmp_path, make, name):
  make(str(tmp_path / name))
  lost = lost_records.LostRecords(LOST, str(tmp_path))
  lost.add('a', [7], 'test')
  assert len(lost) == 1


@pytest.mark.parametrize('records', [10**6, 10**12, 10**18])
@pytest.mark.fault('forged: dataset.json')
def test_counts_that_cannot_be_are_compared_with_the_files_first(tmp_path, records):
  """No list of them is made."""
  (tmp_path / 'a').write_bytes(bytes(1000))
  info = contract.DatasetInfo(str(tmp_path), 24, 5, 60, None, {
      'train': [contract.Shard('a', records, None)], 'heldout': []})
  with pytest.raises(UserError, match='record 62-{} of this file lost .the file has 1,000 bytes'.format(records - 1)):
    lost_records.check_files(info, lost_records.LostRecords(info))


@pytest.mark.parametrize('make', [os.mkfifo, lambda path: os.symlink('/dev/zero', path), os.mkdir])
@pytest.mark.fault('forged: pipes and devices')
def test_a_pipe_is_no_shard(tmp_path, make):
  make(str(tmp_path / 'a'))
  info = contract.DatasetInfo(str(tmp_path), 24, 5, 60, None, {
      'train': [contract.Shard('a', 5, None)], 'heldout': []})
  with pytest.raises(UserError, match='record 0-4 of this file lost .it is a .* and no file'):
    lost_records.check_files(info, lost_records.LostRecords(info))
