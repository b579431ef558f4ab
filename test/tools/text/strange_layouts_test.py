"""tools.text: corpora whose brackets, tags, commas or bytes would be trained on are refused with what to do."""

import bz2
import gzip
import json
import lzma

import pytest

from albert.common.errors import UserError
from tools.text import cleaning
from tools.text import corpus
from tools.text import json_lines
from tools.text import source

from layouts_test import ARTICLE
from layouts_test import lines_of
from layouts_test import LONG_LINES
from layouts_test import read
from layouts_test import write

DIALOGUES = [['你好。', '你也好。'], ['吃了吗？', '吃了。', '好。']]


@pytest.mark.parametrize('content, words', [
    (json.dumps(DIALOGUES, ensure_ascii=False), r"a JSON array; .*jq -c '\.\[\] \| \{text: \.\}'"),
    (json.dumps(DIALOGUES, ensure_ascii=False, indent=2), r"a JSON array; .*'\.\[\] \| \{text: \.\}'"),
    (json.dumps(DIALOGUES[0], ensure_ascii=False, indent=2), r"a JSON array; .*'\.\[\] \| \{text: \.\}'"),
    (lines_of(*DIALOGUES), r"a JSON array in each line; .*'\{text: \.\}'"),
    (lines_of(DIALOGUES[0]), r"a JSON array in each line; .*'\{text: \.\}'"),
    (json.dumps([DIALOGUES[0]] * 40000, ensure_ascii=False), r"a JSON array; .*'\.\[\] \| \{text: \.\}'"),
    (json.dumps({str(number): ARTICLE for number in range(20)}),
     r"one JSON object that holds others \(0, 1,.*'\.\[\]'"),
    ('<doc id="12" url="https://…" title="数学">\n数学\n\n数学是研究数量的学科。\n</doc>\n', 'markup .*--json'),
    ('<doc>\n<url>http://…</url>\n<content>春天来了。</content>\n</doc>\n', 'markup'),
    ('<!DOCTYPE html>\n<html><body>\n春天来了。</body></html>', 'markup'),
    ('第一句。\r第二句。\r\r第三句。\r', r"carriage return, .*tr '\\r' '\\n'")],
                         ids='array lines flat dialogues dialogue long object wiki sogou page mac'.split())
def test_what_would_be_trained_on_as_it_is_written(tmp_path, content, words):
  path = write(tmp_path / 'a', content)
  with pytest.raises(UserError, match=words) as error:
    read(path)
  assert path in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('content', [
    '[1] 参考文献。\n\n[2] 又一篇。\n', '["引用"里的话。\n', '<文档>里的话。\n', '<docx>里的话。\n',
    '[[双括号]]里的话。\n'])
def test_brackets_are_text(tmp_path, content):
  assert read(write(tmp_path / 'a', content))[0]


def test_a_dot_leads_into_objects(tmp_path):
  path = write(tmp_path / 'a', lines_of(
      {'data': {'text': '一。', 'id': 1}, 'turns': [{'from': 'a', 'value': '二。'}, {'value': '三。'}, {'from': 'b'}]},
      {'data': None, 'turns': [{'value': '四。'}]}, {'data': {'text': '五。'}}, {'data.text': '六。'}))
  with pytest.raises(UserError, match='with the fields data.text, turns.from, turns.value'):
    read(path)
  assert read(path, text_field='data.text,turns.value')[0] == [['一。', '二。', '三。'], ['四。'], ['五。'], ['六。']]
  with pytest.raises(UserError, match='"turns", found .*name what is in it: --text_field=turns.value'):
    read(path, text_field='turns')
  with pytest.raises(UserError, match='the field "data.txt", found none with it, but with data, turns, data.text'):
    read(path, text_field='data.txt')


def test_a_mark_within_text_that_cat_left_there(tmp_path):
  path = write(tmp_path / 'a', '\ufeff'.join(['', lines_of({'text': '一。'}), lines_of({'text': '二。'})]))
  with pytest.raises(UserError, match='JSON objects with the fields text'):
    read(path)
  assert read(path, text_field='text')[0] == [['一。'], ['二。']]


@pytest.mark.parametrize('name, encoding', [
    ('a.csv', 'utf-8'), ('a.csv', 'utf-8-sig'), ('a.csv', 'gb18030'), ('a.csv', 'utf-16'), ('a.tsv', 'utf-8')])
def test_a_table(tmp_path, name, encoding):
  is_csv = name.endswith('csv')
  rows = ([['label', 'review'], ['1', '好，"很好"。'], ['0', '不好。' + '\r\n下一行。' * is_csv], ['1', '']])
  quoted = [['"{}"'.format(cell.replace('"', '""')) if is_csv else cell for cell in row] for row in rows]
  path = write(tmp_path / name, '')
  with open(path, 'wb') as target:
    target.write(('\r\n'.join(('\t,'[is_csv]).join(row) for row in quoted) + '\r\n').encode(encoding))
  named = encoding if encoding == 'gb18030' else 'utf-8'
  with pytest.raises(UserError, match='a table with the columns label, review; .*=review .*if it is no table'):
    read(path, encoding=named)
  assert read(path, encoding=named, text_field='review')[0] == [
      ['好，"很好"。'], ['不好。', '下一行。'] if is_csv else ['不好。']]


@pytest.mark.parametrize('name, packer', [
    ('a.csv.gz', gzip.compress), ('A.TSV.BZ2', bz2.compress), ('a.csv.xz', lzma.compress)])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'gb18030'])
def test_a_packed_table(tmp_path, name, packer, encoding):
  path = write(tmp_path / name, '')
  rows = '标签,评论\n1,"好，很好。"\n' if 'csv' in name else '标签\t评论\n1\t好，很好。\n'
  with open(path, 'wb') as target:
    target.write(packer(rows.encode(encoding)))
  named = encoding if encoding == 'gb18030' else 'utf-8'
  assert read(path, encoding=named, text_field='评论')[0] == [['好，很好。']]
  with pytest.raises(UserError, match='a table with the columns 标签, 评论'):
    read(path, encoding=named)


def test_a_table_in_another_encoding(tmp_path):
  path = write(tmp_path / 'a.csv', '')
  with open(path, 'wb') as target:
    target.write('标签,评论\n1,这是中国的一个好地方。\n'.encode('gb18030') * 3)
  for field in ('', '评论'):
    with pytest.raises(UserError, match='expected a table in utf-8, found other bytes .*--encoding=gb18030$'):
      read(path, text_field=field)
  with open(path, 'wb') as target:
    target.write(b'label,review\n1,' + '好。'.encode('utf-8') + b'\n1,\xc0\xaf\n')
  with pytest.raises(UserError, match='expected text in utf-8'):
    read(path, text_field='review')
  documents, reader = read(path, text_field='review', skip_errors=True)
  assert documents == [['好。']] and len(reader.skipped) == 1


@pytest.mark.parametrize('of, named', [
    ('gb18030', 'utf-8'), ('big5', 'utf-8'), ('utf-8', 'gb18030'), ('utf-8', 'big5')])
def test_the_encoding_that_text_looks_like(tmp_path, of, named):
  path = write(tmp_path / 'a', '')
  with open(path, 'wb') as target:
    target.write('中文的一句，在我有的人上。\n'.encode(of) * 20)
  with pytest.raises(UserError, match='expected text in {}, found byte .*looks like {}: say'.format(named, of)):
    read(path, encoding=named)


def test_an_encoding_that_is_not_known_is_not_guessed(tmp_path):
  path = write(tmp_path / 'a', '')
  for content in ('中文的。\n'.encode('utf-8') + b'\xff\n', b'\xff\xfa\x81' * 30):
    with open(path, 'wb') as target:
      target.write(content)
    with pytest.raises(UserError, match=r'name its encoding \(--encoding=...\), repair it, or leave such lines out'):
      read(path)


RECORD = json.dumps(ARTICLE, ensure_ascii=False)


@pytest.mark.parametrize('content, words', [
    ('[\n' + ',\n'.join([RECORD] * 3) + '\n]\n', r"a JSON array; .*\(jq -c '\.\[\]'\)"),
    ('[' + ',\n'.join([RECORD] * 3) + ']\n', r"a JSON array; .*\(jq -c '\.\[\]'\)"),
    (RECORD + ',\n' + RECORD + ',\n' + RECORD + '\n', r"a comma behind; .*\(sed 's/,\\s\*\$//'\)"),
    ((RECORD + ',\n') * 3, r"a comma behind; .*\(sed 's/,\\s\*\$//'\)"),
    (json.dumps({'a': {'b': '好。'}, 'c': [{'d': '好。'}]}, ensure_ascii=False, indent=1).replace(
        '[\n  {\n   "d": "好。"\n  }\n ]', '[\n {"d": "好。"}\n]'), 'JSON that is not an object in each line'),
    ('# 2016 年的新闻\n' + (RECORD + '\n') * 4, 'JSON objects with the fields title, desc, text'),
    ('{"title": "断\n' + (RECORD + '\n') * 4, 'JSON objects with the fields title, desc, text'),
    (repr(ARTICLE) + '\n' + repr(ARTICLE) + '\n', r'objects as Python prints them; .*json\.dumps'),
    (json.dumps({'version': '一', 'data': [{'paragraphs': [{'context': '好。'}]}] * 2}),
     r"one JSON object with a list of others in \"data\"; .*'\.\[\"data\"\]\[\]'"),
    (lines_of(*(['好。"真的"。'] * 9)), r'a JSON text in each line, .* jq -r \. '),
    (lines_of(*([[{'from': '甲', 'value': '好。'}]] * 3)), r'array of objects in each line; .*=items\.value')],
                         ids='line-each first commas all-commas inner comment broken python within texts turns'.split())
@pytest.mark.parametrize('field', ['', 'text'])
def test_json_that_is_nearly_one_object_in_each_line(tmp_path, content, words, field):
  path = write(tmp_path / 'a', content)
  if field and ('with the fields' in words or 'a JSON text' in words):
    words = 'line 1'
  elif field and 'a list of others' in words:
    words = 'the field "text", found none with it, but with version, data, data.paragraphs.context'
  with pytest.raises(UserError, match=words) as error:
    read(path, text_field=field)
  assert path in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('name, content, words', [
    ('wiki_00', (RECORD + '\n').encode(), 'the fields title'), ('a.json', b'[' + RECORD.encode() + b']', 'array'),
    ('a.jsonl.gz', gzip.compress(RECORD.encode()), 'the fields title'),
    ('a.csv', '标签,评论\n1,好。\n'.encode(), '评论'), ('u.json', RECORD.encode('utf-16'), 'the fields title'),
    ('wiki_01', '<doc id="1">\n好。\n</doc>\n'.encode(), 'markup')])
def test_one_file_of_very_many_that_is_no_text(tmp_path, name, content, words):
  for number in range(60):
    write(tmp_path / 'x' / '文{}.txt'.format(number), '第{}篇。\n好。\n'.format(number))
  assert len(read(tmp_path / 'x')[0]) == 60
  write(tmp_path / 'x' / '体育' / name, '')
  (tmp_path / 'x' / '体育' / name).write_bytes(content)
  write(tmp_path / 'x' / '[1]', '[1] 参考文献。\n')
  with pytest.raises(UserError, match=words) as error:
    read(tmp_path / 'x')
  assert name in str(error.value)


@pytest.mark.parametrize('content, words', [
    ('[' + RECORD + ']', 'a JSON array'), ('[\n ' + RECORD + '\n]', 'a JSON array'),
    (repr(ARTICLE), 'as Python prints'),
    (json.dumps(ARTICLE, ensure_ascii=False, indent=2), 'not an object in each line')])
def test_one_file_of_very_many_that_is_no_json_lines(tmp_path, content, words):
  for number in range(60):
    write(tmp_path / 'x' / '{}.json'.format(number), RECORD + '\n')
  write(tmp_path / 'x' / '00.json', content)
  with pytest.raises(UserError, match='00.json: expected a JSON object in each line, found .*' + words):
    read(tmp_path / 'x', text_field='text')


def test_a_text_among_json_is_named_with_what_to_do(tmp_path):
  write(tmp_path / 'x' / 'a.json', RECORD + '\n')
  write(tmp_path / 'x' / '说明.txt', '这里是新闻。\n')
  with pytest.raises(UserError, match='说明.txt: expected a JSON object .* line 1; .*only the files that are JSON'):
    read(tmp_path / 'x', text_field='text')
  assert read(str(tmp_path / 'x' / '*.json'), text_field='text')[0] == [['第一段。', '第二段。']]
  with pytest.raises(UserError, match='a.json: expected text, .*; or name only the files that are text$'):
    read(tmp_path / 'x')
  assert read(str(tmp_path / 'x' / '*.txt'))[0] == [['这里是新闻。']]
  write(tmp_path / 'y' / 'empty', '')
  write(tmp_path / 'y' / 'a.json', RECORD + '\n')
  with pytest.raises(UserError, match='--text_field=[a-z,]*$'):
    read(tmp_path / 'y')


@pytest.mark.parametrize('value, sentences', [
    ([['一。', '二。'], ['三。', []]], ['一。', '二。', '三。']), (float('nan'), []), ([None, '一。'], ['一。']),
    ([], []), ('', []), ('一。\r\n\r\n\t二。', ['一。', '二。'])], ids=repr)
def test_values_of_a_field(tmp_path, value, sentences):
  path = write(tmp_path / 'a', lines_of({'text': value, 'title': '题'}, {'text': '好。', 'title': None}))
  assert read(path, text_field='text')[0] == [sentences] * bool(sentences) + [['好。']]
  assert read(path, text_field='title,text')[0] == [['题'] + sentences, ['好。']]


def test_a_json_line_of_a_whole_book_is_divided(tmp_path, monkeypatch):
  monkeypatch.setattr(corpus, 'MAX_LINE_BYTES', 400)
  monkeypatch.setattr(corpus, 'MAX_DOCUMENT_BYTES', 400)
  book = ['第{}句话。'.format(number) for number in range(200)]
  path = write(tmp_path / 'a', lines_of({'text': '\n'.join(book)}, {'text': '短。'}, {'text': ''.join(book)}))
  documents, reader = read(path, text_field='text')
  assert [sentence for document in documents for sentence in document if sentence != '短。'][:200] == book
  assert ''.join(''.join(document) for document in documents) == ''.join(book) + '短。' + ''.join(book)
  assert len(documents) > 10 and reader.divided_lines == 2 and reader.divided_documents == len(documents) - 3
  unit, = source.units([path], source.Source(cleaning=cleaning.Options(text_field='text')))
  places = [document.offset for document in source.reader(source.Source(cleaning=cleaning.Options(
      text_field='text'))).documents(unit)]
  assert len(set(places)) == len(places)
  monkeypatch.setattr(json_lines, 'LONGEST_LINE', 2500)
  with pytest.raises(UserError, match='more than 2,500 bytes in line 1'):
    read(path, text_field='text')
  assert read(path, text_field='text', skip_errors=True)[0] == [['短。']]


def test_each_file_in_its_own_encoding(tmp_path):
  text = '中文的一句，在我有的人上。\n\n第二篇。\n'
  for number, encoding in enumerate(['utf-8', 'gb18030', 'utf-16', 'utf-8-sig', 'big5']):
    write(tmp_path / 'x' / str(number), '')
    (tmp_path / 'x' / str(number)).write_bytes(
        (text.replace('个', '個') if encoding == 'big5' else text).encode(encoding))
  write(tmp_path / 'x' / 'empty', '')
  write(tmp_path / 'x' / 'latin', 'one.\n\ntwo.\n')
  (tmp_path / 'x' / 'short').write_bytes('北京晴\n'.encode('gb18030'))
  (tmp_path / 'x' / 't.csv').write_bytes('标签,评论\n1,北京的天\n'.encode('gb18030'))
  (tmp_path / 'x' / 'z.gz').write_bytes(gzip.compress(text.encode('gb18030')))
  with pytest.raises(UserError, match='x/1: expected text in utf-8, found .*gb18030, or --encoding=auto if others'):
    read(str(tmp_path / 'x' / '[0-9]'))
  expected = [line for line in text.split('\n') if line]
  documents, _ = read(str(tmp_path / 'x' / '*[!vz]'), encoding='auto')
  assert [sentence for document in documents for sentence in document] == expected * 5 + ['one.', 'two.', '北京晴']
  assert read(tmp_path / 'x' / 'z.gz', encoding='auto')[0] == [[line] for line in expected]
  assert read(tmp_path / 'x' / 't.csv', encoding='auto', text_field='评论')[0] == [['北京的天']]
  (tmp_path / 'x' / 'bad').write_bytes('中文的一句\n'.encode() * 9999 + b'\xff\n')
  with pytest.raises(UserError, match='bad: expected text in utf-8, found byte 0xff in line 10000'):
    read(tmp_path / 'x' / 'bad', encoding='auto')


@pytest.mark.parametrize('line_end', ['\n', '\r\n'])
@pytest.mark.parametrize('title', ['新闻语料\n\n', '新闻语料\n2016 年\n\n\n', '\n\n新闻语料\n\n来源：网络\n\n'])
def test_a_document_per_line_below_a_title(tmp_path, title, line_end):
  content = (title + LONG_LINES).replace('\n', line_end)
  with pytest.raises(UserError, match='found none after a title, and lines of .*--documents=line'):
    read(write(tmp_path / 'a', content))
  assert len(read(tmp_path / 'a', 'line')[0]) == len([line for line in content.split('\n') if line.strip()])


def test_a_field_that_is_a_number_somewhere_is_named(tmp_path):
  path = write(tmp_path / 'a', lines_of({'title': '题', 'text': '好。'}, {'title': 1984, 'text': '好。'}))
  with pytest.raises(UserError, match='found 1984 in "title" in line 2'):
    read(path, text_field='title,text')


@pytest.mark.parametrize('record, fields', [
    ({'news_id': '123456', 'title': '春天来了花开了', 'desc': '花', 'day': '2016-03-21',
      'content': '花开了，鸟叫了，春天。'},
     'title,content'),
    ({'id': '123456', 'url': 'https://somewhere', 'title': '数学', 'text': '数学是研究数量的学科。'}, 'text'),
    ({'qid': 'qid_12345', 'category': '健康-外科', 'title': '怎么办才好呢？', 'answer': '休息。' * 9}, 'title,answer'),
    ({'id': 1, 'paras': [['第一段的话。'], ['第二段。']]}, 'paras'), ({'id': '12345'}, 'id'),
    ({'a': '好', 'b': '坏'}, 'a,b')])
def test_the_fields_that_are_suggested(tmp_path, record, fields):
  with pytest.raises(UserError, match='--text_field={}$'.format(fields)):
    read(write(tmp_path / 'a', lines_of(*(dict(record, **{
        name: value + str(number) if name in ('title', 'desc', 'text', 'content', 'answer') else value
        for name, value in record.items()}) for number in range(4)))))


@pytest.mark.parametrize('name, rows, words', [
    ('a.csv', '标签,评论\n1,好。\n\n0,很好,下一句。\n1,不好。\n\n', '3 cells in a row of a table of 2 columns'),
    ('a.tsv', '标签\t评论\n1\t好。\n\n0\n1\t不好。\n', '1 cell in a row of a table of 2 columns')])
def test_rows_with_other_cells_than_columns(tmp_path, name, rows, words):
  path = write(tmp_path / name, rows)
  with pytest.raises(UserError, match=words + '.* in row .below the names. 3;'):
    read(path, text_field='评论')
  documents, reader = read(path, text_field='评论', skip_errors=True)
  assert documents == [['好。'], ['不好。']] and len(reader.skipped) == 1


def test_two_columns_of_one_name(tmp_path):
  with pytest.raises(UserError, match='cannot be read .two columns have the name "文"'):
    read(write(tmp_path / 'a.csv', '文,题,文\n1,2,3\n'), text_field='文')


def test_objects_in_lists_of_lists(tmp_path):
  path = write(tmp_path / 'a', lines_of({'turns': [[{'value': '一。'}, {'value': '二。'}], [[{'value': '三。'}], 4]]}))
  with pytest.raises(UserError, match='with the fields turns.value;'):
    read(path)
  assert read(path, text_field='turns.value')[0] == [['一。', '二。', '三。']]
