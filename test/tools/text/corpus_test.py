"""tools.text.corpus: finding, cutting and reading text."""

import gzip
import os

import pytest

from albert.common.errors import UserError
from tools.text import corpus
from tools.text import streams


def write(path, content, encoding='utf-8'):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
  return str(path)


def read(path, unit_bytes=None, **options):
  reader = corpus.Reader(**options)
  encoding = options.get('encoding', 'utf-8')
  units = corpus.units([path], encoding, options.get('documents', corpus.BLANK_LINE), unit_bytes)
  return [document for unit in units for document in reader.documents(unit)], reader


def test_documents_and_offsets(tmp_path):
  path = write(tmp_path / 'a', '\n\n一。\n二。\n \t\u3000\n\n三。\n')
  documents, _ = read(path)
  assert [tuple(document) for document in documents] == [(0, 2, ['一。', '二。'], 2), (0, 23, ['三。'], 6)]
  content = open(path, 'rb').read()
  assert [content[d.offset:].decode()[0] for d in documents] == ['一', '三']


@pytest.mark.parametrize('content', [
    '\ufeff一\n二\n\n三\n', '一\r\n二\r\n\r\n三\r\n', '一  \n 二\n\n\n\n三', '\n\n一\n二\n \n三\n\n'])
def test_marks_line_ends_and_blanks_do_not_matter(tmp_path, content):
  documents, _ = read(write(tmp_path / 'a', content))
  assert [document.sentences for document in documents] == [['一', '二'], ['三']]


def test_a_line_ends_at_newline_only(tmp_path):
  documents, _ = read(write(tmp_path / 'a', '一\u2028二\x0b三\x85四\n'))
  assert [document.sentences for document in documents] == [['一\u2028二\x0b三\x85四']]


def test_gzip_has_the_same_documents(tmp_path):
  content = '一。\n二。\n\n三。\n'
  plain, _ = read(write(tmp_path / 'a', content))
  packed, _ = read(write(tmp_path / 'a.gz', gzip.compress(content.encode())))
  assert plain == packed


@pytest.mark.parametrize('unit_bytes', [1, 7, 50, 300, 10**6])
def test_units_of_any_size_give_the_same_documents(tmp_path, unit_bytes):
  content = '\n\n'.join('\n'.join('文{}之{}。'.format(i, j) for j in range(i % 5 + 1)) for i in range(40))
  path = write(tmp_path / 'a', '\ufeff\n' + content + '\n\n\n')
  documents, _ = read(path, unit_bytes)
  assert [document[:3] for document in documents] == [document[:3] for document in read(path)[0]]
  assert len(documents) == 40
  units = corpus.units([path], unit_bytes=unit_bytes)
  assert (len(units) > 1) == (unit_bytes < 1000)
  parts = [part for unit in units for part in unit.parts]
  assert len(parts) == len(units)
  assert [part.end for part in parts[:-1]] == [part.begin for part in parts[1:]] and parts[-1].end is None


def test_a_file_without_blank_lines_is_divided_and_counted(tmp_path, monkeypatch):
  monkeypatch.setattr(corpus, 'MAX_DOCUMENT_BYTES', 100)
  lines = ['第{:03d}句。'.format(i) for i in range(50)]
  documents, reader = read(write(tmp_path / 'a', '\n'.join(lines)))
  assert [line for document in documents for line in document.sentences] == lines
  assert len(documents) == reader.divided_documents + 1 > 3
  content = open(str(tmp_path / 'a'), 'rb').read()
  assert all(content[d.offset:].decode().startswith(d.sentences[0]) for d in documents)


def test_an_encoding(tmp_path):
  path = write(tmp_path / 'a', '中文\n\n𠀀字\n', 'gb18030')
  assert [d.sentences for d in read(path, encoding='gb18030')[0]] == [['中文'], ['𠀀字']]


def test_not_utf8_names_file_line_and_byte(tmp_path):
  path = write(tmp_path / 'a', '一\n\n二\n'.encode() + b'ab\xffcd\n')
  with pytest.raises(UserError) as error:
    read(path)
  for part in (path, 'byte 0xff', 'line 4', 'byte 11 of', '--encoding', '--errors=skip'):
    assert part in str(error.value)
  assert '\n' not in str(error.value)


def test_errors_are_skipped_and_counted(tmp_path):
  path = write(tmp_path / 'a', '一\n'.encode() + b'ab\xffcd\n' + '二\n\n三\n'.encode())
  documents, reader = read(path, skip_errors=True)
  assert [document.sentences for document in documents] == [['一', '二'], ['三']]
  assert reader.skipped == [(1, 'not in utf-8')] and reader.lines == 5


@pytest.mark.parametrize('encoding', ['klingon', 'hex', 'rot13', ''])
def test_an_encoding_that_cannot_work(encoding):
  with pytest.raises(UserError, match='expected an encoding'):
    streams.check_encoding(encoding)


def test_encodings_that_work():
  for encoding in ('utf-8', 'gb18030', 'gbk', 'big5', 'utf-16', 'utf-32-le', 'utf-8-sig'):
    streams.check_encoding(encoding)


def test_files_globs_and_folders_in_any_order(tmp_path):
  names = ['b/2.txt', 'a/1.txt', 'a/deep/3.txt', 'c.txt']
  paths = sorted(write(tmp_path / name, '一') for name in names)
  a, b, c = (str(tmp_path / name) for name in ('a', 'b/*.txt', 'c.txt'))
  assert corpus.find_files([c, a, b, a]) == corpus.find_files([b, a, c]) == paths


def test_names_with_special_characters(tmp_path):
  path = write(tmp_path / 'x[1]' / 'y[2]*.txt', '一')
  assert corpus.find_files([path]) == corpus.find_files([str(tmp_path / 'x[1]')]) == [path]


def test_links_that_lead_back_and_hidden_files(tmp_path):
  paths = [write(tmp_path / 'x' / name, '一') for name in ('a', 'deep/b')]
  for name in ('.hidden', '.git/config', '.DS_Store', '__MACOSX/._a'):
    write(tmp_path / 'x' / name, '一')
  (tmp_path / 'x' / 'deep' / 'loop').symlink_to(tmp_path / 'x')
  (tmp_path / 'y').mkdir()
  elsewhere = write(tmp_path / 'elsewhere' / 'c', '一')
  (tmp_path / 'y' / 'link').symlink_to(tmp_path / 'elsewhere')
  assert corpus.find_files([str(tmp_path / 'x')]) == paths
  assert corpus.find_files([str(tmp_path / 'y')]) == [elsewhere.replace('elsewhere', 'y/link')]


@pytest.mark.parametrize('patterns', [[], ['none.txt'], ['none*.txt']])
def test_no_files(tmp_path, monkeypatch, patterns):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match='expected text files'):
    corpus.find_files(patterns)


@pytest.mark.parametrize('content', [b'no gzip', gzip.compress(b'abc\n' * 99)[:-9]], ids=['other', 'cut'])
def test_a_broken_gzip(tmp_path, content):
  with pytest.raises(UserError, match='cannot be read'):
    read(write(tmp_path / 'a.gz', content))


def test_nothing_in_a_folder_is_passed_over_because_it_cannot_be_opened(tmp_path, monkeypatch):
  write(tmp_path / 'a', '一')
  (tmp_path / 'deep').mkdir()
  assert len(corpus.find_files([str(tmp_path)])) == 1
  monkeypatch.setattr(os, 'access', lambda path, mode: not path.endswith('deep'))  # root may open everything
  with pytest.raises(UserError, match='deep: expected a text file or a folder'):
    corpus.find_files([str(tmp_path)])
  (tmp_path / 'deep').rmdir()
  (tmp_path / 'b').symlink_to(tmp_path / 'absent')
  with pytest.raises(UserError, match='b: expected a text file or a folder'):
    corpus.find_files([str(tmp_path / '*')])


def test_an_unreadable_file(tmp_path):
  with pytest.raises(UserError, match='cannot be (opened|read)'):
    read(str(tmp_path))


def test_a_long_line_is_divided_into_sentences(tmp_path, monkeypatch):
  monkeypatch.setattr(corpus, 'MAX_LINE_BYTES', 100)
  monkeypatch.setattr(corpus, 'MAX_DOCUMENT_BYTES', 150)
  long_line = ''.join('第{:03d}句，很长。'.format(number) for number in range(50))
  path = write(tmp_path / 'a', '一。\n\n' + long_line + '\n二。\n\n三。\n')
  documents, reader = read(path)
  assert ''.join(part for d in documents for part in d.sentences) == '一。' + long_line + '二。三。'
  assert (reader.divided_lines, reader.lines) == (1, 6)
  assert max(len(part) for d in documents for part in d.sentences) == 9 and len(documents) > 5
  assert len({d.offset for d in documents}) == len(documents)
  assert read(path, 30)[0][-1].sentences == ['三。'] == documents[-1].sentences


@pytest.mark.parametrize('tail', ['一二三'.encode()[:-1], b'\xff'])
def test_a_long_line_that_is_not_utf8(tmp_path, monkeypatch, tail):
  monkeypatch.setattr(corpus, 'MAX_LINE_BYTES', 30)
  path = write(tmp_path / 'a', '好的。\n'.encode() + '长。'.encode() * 20 + tail)
  with pytest.raises(UserError, match='line 2'):
    read(path)
  documents, reader = read(path, skip_errors=True)
  assert reader.skipped == [(1, 'not in utf-8')] and documents[0].sentences[:3] == ['好的。', '长。', '长。']


@pytest.mark.parametrize('text, expected', [
    ('他说：“走吧。”然后走了！真的？？好……', ['他说：“走吧。”', '然后走了！', '真的？？', '好……']),
    ('3.5公斤。 没有', ['3.5公斤。', '没有']), ('。。', ['。。']), ('', []), ('  ', []),
    ('今天很好.我们去玩.明天再来.', ['今天很好.', '我们去玩.', '明天再来.']),
    ('他来了.她走了', ['他来了.', '她走了']), ('今天很好． 我们去玩．', ['今天很好．', '我们去玩．']),
    ('他说“今天很好.”我们去玩...明天再来！', ['他说“今天很好.”', '我们去玩...', '明天再来！']),
    ('今天很好｡我们去玩｡', ['今天很好｡', '我们去玩｡']), ('今天很好.“我们去玩.”', ['今天很好.', '“我们去玩.”']),
    ('圆周率是3.14公里.第二句话', ['圆周率是3.14公里.', '第二句话']),
    ('见网址www.a.com和１２．５元', ['见网址www.a.com和１２．５元']), ('比尔.盖茨退休', ['比尔.盖茨退休']),
    ('前总裁比尔.盖茨说：很好。', ['前总裁比尔.盖茨说：很好。']), ('版本是v1.2.中文版', ['版本是v1.2.中文版']),
    ('U.S.A.的人', ['U.S.A.的人'])])
def test_split_sentences(text, expected):
  assert corpus.split_sentences(text) == expected
  assert ''.join(''.join(expected).split()) == ''.join(text.split())
