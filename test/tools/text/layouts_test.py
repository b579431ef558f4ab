"""tools.text.layouts and source: corpora as people have them are read as they are meant, or refused with the flag."""

import collections
import gzip
import json
import lzma
import os

import pytest

from albert.common.errors import UserError
from tools.text import cleaning
from tools.text import corpus
from tools.text import source
from tools.text import streams

import small_corpus

ARTICLE = {'title': '题目', 'desc': '', 'text': '第一段。\n\n第二段。'}


def write(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(content, encoding='utf-8')
  return str(path)


def read(pattern, documents=None, skip_errors=False, encoding='utf-8', **options):
  """The sentences of each document, as a program reads them, and the reader."""
  options = cleaning.Options(documents=documents or corpus.BLANK_LINE, **options)
  text = source.Source(encoding, skip_errors, options)
  paths = source.find_files([str(pattern)], text, documents_given=documents is not None)
  reader = source.reader(text)
  return [document.sentences for unit in source.units(paths, text) for document in reader.documents(unit)], reader


def lines_of(*records):
  return ''.join(json.dumps(record, ensure_ascii=False) + '\n' for record in records)


LONG_LINES = '\n'.join(''.join(document) for document in small_corpus.documents(30)) + '\n'


@pytest.mark.parametrize('content', [
    LONG_LINES, '\n' + LONG_LINES + '\n\n', '\ufeff' + LONG_LINES, '这是一句很长的话，' * 20 + '\n' + '还有，' * 50],
    ids=['several sentences', 'blank lines at the ends', 'mark', 'long'])
def test_a_document_per_line_is_recognised(tmp_path, content):
  path = write(tmp_path / 'text', content)
  with pytest.raises(UserError, match='--documents=line') as error:
    read(path)
  assert path in str(error.value) and '--split_sentences' in str(error.value) and '\n' not in str(error.value)
  assert len(read(path, 'line')[0]) == content.strip('\n\ufeff').count('\n') + 1
  assert len(read(path, 'blank_line')[0]) == len(read(path, 'file')[0]) == 1


@pytest.mark.parametrize('content', [
    small_corpus.text(), LONG_LINES.replace('\n', '\n\n'), '好。\n' * 300, LONG_LINES.split('\n')[1], '', '\n\n',
    '{花括号}里的话。\n[方括号]里的话。\n', '{"引用"}\n'],
    ids=['blank lines', 'long paragraphs', 'short lines', 'one line', 'empty', 'blank', 'brackets', 'quote'])
def test_other_text_is_not_taken_for_it(tmp_path, content):
  read(write(tmp_path / 'text', content))


def test_small_files_without_blank_lines_are_documents(tmp_path):
  for number in range(3):
    write(tmp_path / 'x' / str(number), LONG_LINES)
  assert len(read(tmp_path / 'x')[0]) == 3
  write(tmp_path / 'x' / '3', LONG_LINES * 20)
  with pytest.raises(UserError, match='x/3: expected a blank line'):
    read(tmp_path / 'x')


@pytest.mark.parametrize('unit_bytes', [1, 200, 1 << 20])
def test_documents_are_lines(tmp_path, monkeypatch, unit_bytes):
  monkeypatch.setattr(corpus, '_MIN_UNIT_BYTES', unit_bytes)
  monkeypatch.setattr(corpus, '_MAX_UNIT_BYTES', unit_bytes)
  path = write(tmp_path / 'text', LONG_LINES.replace('\n', '\n\n', 3))
  texts, reader = read(path, 'line')
  assert texts == [[line] for line in LONG_LINES.split('\n') if line]
  assert sum(reader.part_lines) == reader.lines == LONG_LINES.count('\n') + 3
  documents = [corpus.Document(0, 0, sentences) for sentences in texts]
  split = cleaning.clean(documents, cleaning.Options(split_sentences=True), collections.Counter(), [])
  assert [document.sentences for document in split] == [corpus.split_sentences(sentences[0]) for sentences in texts]


def test_documents_are_files(tmp_path, monkeypatch):
  monkeypatch.setattr(corpus, '_MIN_UNIT_BYTES', 50)
  for number in range(3):
    write(tmp_path / 'x' / str(number), small_corpus.text(5, number))
  documents, reader = read(tmp_path / 'x', 'file')
  assert documents == [[sentence for document in small_corpus.documents(5, number) for sentence in document]
                   for number in range(3)]
  monkeypatch.setattr(corpus, 'MAX_DOCUMENT_BYTES', 300)
  documents, reader = read(tmp_path / 'x', 'file')
  assert len(documents) == 3 + reader.divided_documents > 6


def test_documents_are_lines_that_are_too_long_for_one(tmp_path, monkeypatch):
  monkeypatch.setattr(corpus, 'MAX_LINE_BYTES', 100)
  monkeypatch.setattr(corpus, 'MAX_DOCUMENT_BYTES', 1000)
  path = write(tmp_path / 'text', '一。\n' + '很长的一行。' * 30 + '\n二。\n')
  documents, reader = read(path, 'line')
  assert list(map(''.join, documents)) == ['一。', '很长的一行。' * 30, '二。'] and reader.divided_documents == 0


@pytest.mark.parametrize('name, record, fields, expected', [
    ('wiki_zh/AA/wiki_00', {'id': '1', 'url': 'https://…', 'title': '数学', 'text': '数学\n\n数学是研究数量的学科。'},
     'text', ['数学', '数学是研究数量的学科。']),
    ('new2016zh/news2016zh_train.json', {
        'news_id': '1', 'keywords': '春天', 'title': '春天来了', 'desc': '花开了', 'source': '某报', 'time': '03-21',
        'content': '花开了。鸟叫了。'}, 'title,content', ['春天来了', '花开了。鸟叫了。']),
    ('webtext2019zh/web_text_zh_train.json', {
        'qid': 1, 'title': '为什么？', 'desc': '', 'topic': '生活', 'star': 3, 'content': '因为。', 'answer_id': 2,
        'answerer_tags': '人'}, 'title,desc,content', ['为什么？', '因为。']),
    ('baike2018qa/baike_qa_train.json', {
        'qid': 'qid_1', 'category': '健康', 'title': '怎么办？', 'desc': '我头疼', 'answer': '休息。\r\n喝水。'},
     'title,desc,answer', ['怎么办？', '我头疼', '休息。', '喝水。'])])
def test_layouts_of_docs_data_md(tmp_path, name, record, fields, expected):
  path = write(tmp_path / name, lines_of(record, record))
  with pytest.raises(UserError, match='expected text, found JSON objects with the fields .*--text_field=') as error:
    read(tmp_path)
  assert path in str(error.value) and all(field in str(error.value) for field in fields.split(','))
  assert read(tmp_path, text_field=fields)[0] == [expected] * 2


def test_a_list_of_texts_is_a_list_of_sentences(tmp_path):
  write(tmp_path / 'a', lines_of({'text': ['一。', ' 二。\n三。', '']}, {'text': []}, {'text': None}, {'text': '四。'}))
  assert read(tmp_path / 'a', text_field='text')[0] == [['一。', '二。', '三。'], ['四。']]


@pytest.mark.parametrize('record', [{'text': ['一', 2]}, {'text': {'a': '一'}}, {'text': 5}, {'other': '一'}])
def test_what_is_no_text_is_named(tmp_path, record):
  path = write(tmp_path / 'a', lines_of({'text': '好。'}, record))
  with pytest.raises(UserError, match='line 2'):
    read(path, text_field='text')
  assert read(path, text_field='text', skip_errors=True)[0] == [['好。']]


def test_fields_that_one_object_lacks(tmp_path):
  write(tmp_path / 'a', lines_of({'title': '题', 'content': '文。'}, {'title': '题'}, {'content': '文。'}))
  assert read(tmp_path / 'a', text_field='title, content')[0] == [['题', '文。'], ['题'], ['文。']]


def test_fields_that_a_full_width_comma_was_meant_to_divide(tmp_path):
  path = write(tmp_path / 'a', lines_of({'title': '题', 'content': '文。'}))
  with pytest.raises(UserError, match='but with title, content; write , instead of the full-width ，'):
    read(path, text_field='title，content')


@pytest.mark.parametrize('fields', ['contents', 'title,contents', 'contents,title'])
def test_a_field_that_no_object_has(tmp_path, fields):
  path = write(tmp_path / 'a', lines_of({'title': '题', 'content': '文。'}))
  with pytest.raises(UserError, match='the field "contents", found none with it, but with title, content'):
    read(path, text_field=fields)


@pytest.mark.parametrize('content, words', [
    (json.dumps([ARTICLE] * 2, ensure_ascii=False), 'JSON array'),
    (json.dumps([ARTICLE] * 2, ensure_ascii=False, indent=2), 'JSON array'),
    (json.dumps(ARTICLE, ensure_ascii=False, indent=2), 'not an object in each line'),
    (lines_of(dict(ARTICLE, text='长' * 400000)), 'title, desc, text')], ids=['array', 'lines', 'object', 'long'])
def test_other_json_is_recognised(tmp_path, content, words):
  with pytest.raises(UserError, match=words) as error:
    read(write(tmp_path / 'a', content))
  assert '--text_field' in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('content, words', [
    (json.dumps([ARTICLE] * 2, ensure_ascii=False), 'JSON array'),
    (json.dumps([ARTICLE] * 2, ensure_ascii=False, indent=2), 'JSON array'),
    (json.dumps(ARTICLE, ensure_ascii=False, indent=2), 'not an object in each line')],
                         ids=['array', 'lines', 'object'])
def test_other_json_is_recognised_where_a_field_was_named(tmp_path, content, words):
  with pytest.raises(UserError, match='expected a JSON object in each line, found .*{}'.format(words)) as error:
    read(write(tmp_path / 'a', content), text_field='text')
  assert 'jq -c' in str(error.value) and '--errors' not in str(error.value)


@pytest.mark.parametrize('value', [[{'n': 1}], {'n': 1}, 3, ['好。', 3]])
def test_fields_that_hold_no_text_are_not_suggested_and_refused_by_name(tmp_path, value):
  path = write(tmp_path / 'a', lines_of({'id': 1, 'paragraphs': value}))
  with pytest.raises(UserError, match=r'JSON objects whose fields \(id, paragraphs\) hold no text'):
    read(path)
  with pytest.raises(UserError, match='a list of texts in the field "paragraphs", found'):
    read(path, text_field='paragraphs')
  write(tmp_path / 'a', lines_of({'id': 1, 'paragraphs': value, 'title': '好。'}))
  with pytest.raises(UserError, match='with the fields title; .*--text_field=title$'):
    read(path)


@pytest.mark.parametrize('encoding', ['utf-16-le', 'utf-16-be'])
@pytest.mark.parametrize('named', ['utf-8', 'gb18030'])
def test_utf_16_without_a_byte_order_mark_is_recognised(tmp_path, encoding, named):
  path = write(tmp_path / 'a', '')
  with open(path, 'wb') as target:
    target.write('今天上午，北京晴。\n气温25度，上升了。\n\n'.encode(encoding) * 50)
  with pytest.raises(UserError, match='found what looks like UTF-16 without a byte-order mark; say --encoding='
                     + encoding):
    read(path, encoding=named)


@pytest.mark.parametrize('escaped, character', [
    ('好\\ud83d。', '好\ufffd。'), ('\\ude00好。', '\ufffd好。'), ('好\\ud83d\\ude00。', '好😀。')])
def test_lone_surrogates_are_replaced_and_counted(tmp_path, escaped, character):
  path = write(tmp_path / 'a', '{"text": "' + escaped + '"}\n')
  documents, reader = read(path, text_field='text')
  assert documents == [[character]] and reader.replaced_surrogates == character.count('\ufffd')


def test_lone_surrogates_in_a_data_set(tmp_path):
  documents = small_corpus.documents(20)
  lines = [json.dumps({'text': document[0] + '\ud83d' + '\n'.join(document[1:]) + '，\udc00我们', 'id': '\ud83d'})
           for document in documents]
  paths = small_corpus.write(tmp_path, '\n'.join(lines))
  for options in ({}, dict(duplicates='exact', normalization='nfkc', drop_control_characters=True)):
    options = cleaning.Options(text_field='text', **options)
    for segmenter in ('jieba', 'rjieba'):
      info = small_corpus.create(tmp_path / 'd', paths, force=True, cleaning=options, segmenter=segmenter).info
      assert info.statistics['replaced_surrogates'] == 40 and info.statistics['documents'] == 20


@pytest.mark.parametrize('name', ['text', 'text.gz'])
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path, name):
  os.mkfifo(str(tmp_path / name))
  with pytest.raises(UserError, match='expected a text file'):
    read(tmp_path / name)


@pytest.mark.parametrize('suffix, pack', [('.txt', bytes), ('.txt.gz', gzip.compress), ('.xz', lzma.compress)])
def test_documents_per_line_in_several_files_packed_or_not(tmp_path, suffix, pack):
  """The size of the text counts: packed it is a tenth on the disk, and three such files were three documents."""
  text = LONG_LINES * (1 + (1 << 16) // len(LONG_LINES.encode()))
  for number in range(3):
    (tmp_path / 'part {}{}'.format(number, suffix)).write_bytes(pack(text.encode()))
  with pytest.raises(UserError, match='expected a blank line between documents, found none.*--documents=line'):
    read(tmp_path)
  for number in range(3):  # many small files are documents of a few paragraphs
    (tmp_path / 'part {}{}'.format(number, suffix)).write_bytes(pack(LONG_LINES[:1000].encode()))
  assert len(read(tmp_path)[0]) == 3


def test_a_file_that_is_not_there(tmp_path):
  with pytest.raises(UserError, match='absent.txt: expected a text file, found none; check the path'):
    streams.open_text(str(tmp_path / 'absent.txt'), 'utf-8')


def test_settings_that_exclude_each_other(tmp_path):
  path = write(tmp_path / 'a', lines_of(ARTICLE))
  with pytest.raises(UserError, match='found both'):
    read(path, 'file', text_field='text')
  with pytest.raises(UserError, match='expected the names of fields'):
    read(path, text_field=' ,')


def test_json_among_many_texts_is_recognised(tmp_path):
  """Whatever files of the corpus are looked at: it would be trained on as text."""
  for number in range(45):
    write(tmp_path / 'texts' / '{:03d}.txt'.format(number), '第一句。\n第二句。\n')
  for number in (1, 2, 22, 43):
    path = write(tmp_path / 'texts' / '{:03d}a.jsonl'.format(number), lines_of(ARTICLE))
    with pytest.raises(UserError, match='a.jsonl: expected text, found JSON objects'):
      read(tmp_path / 'texts')
    os.remove(path)
