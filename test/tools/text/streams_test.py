"""tools.text.streams: packed files, other encodings and tables are read as the same text in UTF-8 would be."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import sys
import tarfile
import tracemalloc
import zipfile

import pytest

from albert.common.errors import UserError
from tools.text import corpus
from tools.text import json_lines
from tools.text import streams

TEXT = '一。\n二。\n \u3000\n\n三。é𠀀\n'
DOCUMENTS = [['一。', '二。'], ['三。é𠀀']]


def write(path, content):
  path.write_bytes(content)
  return str(path)


def read(path, encoding='utf-8', skip_errors=False, **options):
  reader = corpus.Reader(encoding, skip_errors)
  documents = [document for unit in corpus.units([path], encoding, **options) for document in reader.documents(unit)]
  return [document.sentences for document in documents], reader


def zstd(content):
  return pytest.importorskip('zstandard').ZstdCompressor().compress(content)


PACKERS = {'gz': gzip.compress, 'bz2': bz2.compress, 'xz': lzma.compress, 'zst': zstd, 'GZ': gzip.compress}


@pytest.mark.parametrize('suffix', sorted(PACKERS))
def test_packed_text(tmp_path, suffix):
  path = write(tmp_path / ('text.' + suffix), PACKERS[suffix](TEXT.encode('utf-8')))
  assert read(path, unit_bytes=1)[0] == DOCUMENTS


@pytest.mark.parametrize('suffix', sorted(PACKERS))
def test_packed_text_of_several_members(tmp_path, suffix):
  half = TEXT.encode('utf-8')[:10]
  content = PACKERS[suffix](half) + PACKERS[suffix](TEXT.encode('utf-8')[10:])
  assert read(write(tmp_path / ('text.' + suffix), content))[0] == DOCUMENTS


@pytest.mark.parametrize('suffix', sorted(PACKERS))
@pytest.mark.parametrize('damage', [lambda data: data[:-3], lambda data: b'no such thing' + data],
                         ids=['cut', 'other'])
def test_damaged_packed_text(tmp_path, suffix, damage):
  path = write(tmp_path / ('text.' + suffix), damage(PACKERS[suffix](TEXT.encode('utf-8') * 999)))
  with pytest.raises(UserError, match='cannot be read .*get it anew, or leave it out') as error:
    read(path)
  assert path in str(error.value) and '\n' not in str(error.value)


def test_zstd_of_a_large_window_and_frames_without_text(tmp_path):
  zstandard = pytest.importorskip('zstandard')
  packer = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=28)).compressobj()
  skipped = b'\x50\x2a\x4d\x18' + b'\x03\0\0\0' + b'abc'
  packed = packer.compress(TEXT.encode('utf-8')) + packer.flush()
  assert read(write(tmp_path / 'text.zst', skipped + packed + skipped))[0] == DOCUMENTS


@pytest.mark.parametrize('suffix', ['gz', 'xz', 'zst'])
def test_memory_stays_flat(tmp_path, suffix):
  path = write(tmp_path / ('text.' + suffix), PACKERS[suffix]((TEXT * 10).encode('utf-8') * 40000))
  stream = streams.open_text(path, 'utf-8')
  tracemalloc.start()
  try:
    with stream.file as source:
      size = sum(map(len, iter(lambda: source.read(1 << 16), b'')))
    assert size > 12 << 20 and tracemalloc.get_traced_memory()[1] < 6 << 20
  finally:
    tracemalloc.stop()


@pytest.mark.parametrize('encoding, bom', [
    ('utf-16-le', codecs.BOM_UTF16_LE), ('utf-16-be', codecs.BOM_UTF16_BE), ('utf-32-le', codecs.BOM_UTF32_LE),
    ('utf-32-be', codecs.BOM_UTF32_BE), ('utf-8', codecs.BOM_UTF8)])
@pytest.mark.parametrize('named', ['utf-8', 'gb18030', 'utf-16'])
def test_a_byte_order_mark_says_the_encoding(tmp_path, encoding, bom, named):
  path = write(tmp_path / 'text', bom + (TEXT * 300).encode(encoding))
  expected = [document for _ in range(300) for document in DOCUMENTS]
  merged, reader = read(path, named, unit_bytes=50)
  assert [line for document in merged for line in document] == [line for document in expected for line in document]
  assert reader.skipped == []


@pytest.mark.parametrize('encoding', ['utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-8-sig', 'utf-16'])
def test_a_wide_encoding_is_named(tmp_path, encoding):
  assert read(write(tmp_path / 'text', TEXT.encode(encoding)), encoding, unit_bytes=1)[0] == DOCUMENTS


@pytest.mark.parametrize('encoding', ['utf-16', 'utf-32'])
def test_a_named_encoding_with_a_mark_wants_one(tmp_path, encoding):
  path = write(tmp_path / 'text', TEXT.encode(encoding + '-be'))
  with pytest.raises(UserError, match='byte-order mark, .* none; say --encoding={0}-le or {0}-be'.format(encoding)):
    read(path, encoding)


def archive(write_into):
  """Bytes of an archive in memory."""
  memory = io.BytesIO()
  write_into(memory)
  return memory.getvalue()


def in_tar(memory):
  """Writes an archive."""
  entry = tarfile.TarInfo('text.txt')
  entry.size = len(TEXT.encode('utf-8'))
  with tarfile.open(fileobj=memory, mode='w') as target:
    target.addfile(entry, io.BytesIO(TEXT.encode('utf-8')))


def in_zip(memory):
  """Writes an archive."""
  with zipfile.ZipFile(memory, 'w') as target:
    target.writestr('text.txt', TEXT)


@pytest.mark.parametrize('name, content, words', [
    ('a.tar', archive(in_tar), 'a tar archive; unpack it first'),
    ('a.tar.gz', gzip.compress(archive(in_tar)), 'a tar archive; unpack it first'),
    ('a.zip', archive(in_zip), 'a zip archive, or a document in one; unpack it first'),
    ('a.txt', gzip.compress(TEXT.encode('utf-8')), 'what gzip has packed; give it the ending .gz'),
    ('a.txt', lzma.compress(TEXT.encode('utf-8')), 'what xz has packed; give it the ending .xz'),
    ('a.txt', bz2.compress(TEXT.encode('utf-8')), 'what bzip2 has packed; give it the ending .bz2'),
    ('a.doc', b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(900), 'a document of Word or Excel; save it as text'),
    ('a.pdf', b'%PDF-1.4\n', 'a PDF document; save it as text'),
    ('a.jpg', b'\xff\xd8\xff\xe0' + bytes(99), 'a picture'),
    ('a.arrow', b'ARROW1\0\0', 'an Arrow file'), ('a.db', b'SQLite format 3\0' + bytes(99), 'a database')],
                         ids=['tar', 'tar.gz', 'zip', 'gzip', 'xz', 'bzip2', 'doc', 'pdf', 'jpg', 'arrow', 'db'])
@pytest.mark.parametrize('named', ['utf-8', 'gb18030'])
def test_what_is_no_text_is_named_by_its_content(tmp_path, name, content, words, named):
  path = write(tmp_path / name, content)
  with pytest.raises(UserError, match='expected text, found ' + words) as error:
    read(path, named)
  assert path in str(error.value)


def test_packed_utf_16(tmp_path):
  assert read(write(tmp_path / 'text.gz', gzip.compress(TEXT.encode('utf-16'))))[0] == DOCUMENTS


@pytest.mark.parametrize('content', [
    codecs.BOM_UTF16_LE + '好。\n'.encode('utf-16-le') + b'\x3d\xd8' + '坏。\n好。\n'.encode('utf-16-le'),
    codecs.BOM_UTF16_LE + '好。\n坏'.encode('utf-16-le') + b'\x0a'], ids=['lone surrogate', 'cut'])
def test_what_is_not_utf_16_is_named_with_its_line(tmp_path, content):
  path = write(tmp_path / 'text', content)
  with pytest.raises(UserError, match='expected text in utf-16, found line 2; name its encoding'):
    read(path)
  documents, reader = read(path, skip_errors=True)
  assert documents[0][0] == '好。' and reader.skipped == [(1, 'not in utf-16')]


def test_a_table(tmp_path):
  pyarrow = pytest.importorskip('pyarrow')
  from pyarrow import parquet
  path = str(tmp_path / 'table.parquet')
  rows = [('题{}'.format(number), '一。\n二。' if number % 2 else None, ['三。', '四。']) for number in range(600)]
  parquet.write_table(pyarrow.table({
      'title': [row[0] for row in rows], 'text': [row[1] for row in rows], 'parts': [row[2] for row in rows],
      'number': list(range(600))}), path)
  reader = json_lines.Reader('title,text,parts')
  documents = [document.sentences for unit in corpus.units([path], unit_bytes=1) for document in reader.documents(unit)]
  assert len(documents) == 600
  assert documents[:2] == [['题0', '三。', '四。'], ['题1', '一。', '二。', '三。', '四。']]
  with streams.open_text(path, 'gb18030').file as source:
    assert json.loads(source.readline().decode('utf-8')) == {'title': '题0', 'text': None, 'parts': ['三。', '四。']}
  with pytest.raises(UserError, match='cannot be read'):
    streams.open_text(write(tmp_path / 'broken.parquet', b'PAR1 no'), 'utf-8')


@pytest.mark.parametrize('name, package', [('a.zst', 'zstandard'), ('a.parquet', 'pyarrow')])
def test_an_absent_package_is_named(tmp_path, monkeypatch, name, package):
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(UserError, match='expected the package {}.*requirements-formats.txt'.format(package)):
    streams.open_text(write(tmp_path / name, b'x'), 'utf-8')


@pytest.mark.parametrize('suffix', sorted(PACKERS))
def test_bytes_behind_packed_text_are_told_or_none_of_it(tmp_path, suffix):
  path = write(tmp_path / ('text.' + suffix), PACKERS[suffix](TEXT.encode('utf-8')) + b'rubbish')
  try:
    assert read(path)[0] == DOCUMENTS
  except UserError as error:
    assert path in str(error) and 'cannot be read' in str(error) and '\n' not in str(error)


def test_a_table_with_columns_of_every_kind(tmp_path):
  pyarrow = pytest.importorskip('pyarrow')
  from pyarrow import parquet
  path = str(tmp_path / 'table.parquet')
  text, texts = pyarrow.string(), pyarrow.list_(pyarrow.string())
  columns = {
      'turns': pyarrow.array([[{'from': '甲', 'value': '一。'}, {'from': '乙', 'value': '二。'}], None, []] * 20,
                             pyarrow.list_(pyarrow.struct([('from', text), ('value', text)]))),
      'nested': pyarrow.array([[['三。'], ['四。', None]], [[]], None] * 20, pyarrow.list_(texts)),
      'category': pyarrow.array(['类', None, '别'] * 20).dictionary_encode(),
      'large': pyarrow.array([['五。']] * 60, pyarrow.large_list(pyarrow.large_string())),
      'meta': pyarrow.array([{'day': 1, 'raw': b'\xff', 'name': '六。'}] * 60, pyarrow.struct(
          [('day', pyarrow.date32()), ('raw', pyarrow.binary()), ('name', text)])),
      'score': pyarrow.array([0.5] * 60)}
  parquet.write_table(pyarrow.table(columns), path, row_group_size=7)
  reader = json_lines.Reader('turns.value,nested,category,large,meta.name')
  documents = [document.sentences for unit in corpus.units([path]) for document in reader.documents(unit)]
  assert documents == [
      ['一。', '二。', '三。', '四。', '类', '五。', '六。'], ['五。', '六。'], ['别', '五。', '六。']] * 20
  with streams.open_text(path, 'utf-8').file as source:
    assert 'score' not in json.loads(source.readline().decode('utf-8'))


def test_memory_for_a_table_does_not_grow_with_its_row_groups(tmp_path):
  pyarrow = pytest.importorskip('pyarrow')
  from pyarrow import parquet
  path = str(tmp_path / 'table.parquet')
  rows = [TEXT * 100 + str(number) for number in range(3000)]
  parquet.write_table(pyarrow.table({'text': rows}), path, use_dictionary=False, compression='none')
  before = pyarrow.total_allocated_bytes()
  with streams.open_text(path, 'utf-8').file as source:
    source.readline()
    assert pyarrow.total_allocated_bytes() - before < 5 << 20 < len(''.join(rows).encode('utf-8'))


@pytest.mark.parametrize('suffix', ['gz', 'bz2', 'xz', 'zst', 'csv', 'txt'])
def test_an_empty_file_has_no_text(tmp_path, suffix):
  assert read(write(tmp_path / ('text.' + suffix), b''))[0] == []
