"""tools.text.layouts: corpora whose brackets, tags, commas or bytes would be trained on are refused with what to do."""

import json

import pytest

from albert.common.errors import UserError
from tools.text import cleaning
from tools.text import source

from layouts_test import ARTICLE
from layouts_test import lines_of
from layouts_test import LONG_LINES
from layouts_test import read
from layouts_test import write
import small_corpus

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


@pytest.mark.parametrize('content, options, is_hinted', [
    (LONG_LINES.replace('\n', '\n\n'), {}, True), (LONG_LINES.replace('\n', '\n\n'), {'split_sentences': True}, False),
    (small_corpus.text(), {}, False), ('很长的一行，' * 50 + '\n\n' + '还有，' * 50, {}, False),
    (lines_of(*({'text': line} for line in LONG_LINES.split('\n'))), {'text_field': 'text'}, True), ('', {}, False)],
                         ids='paragraphs divided sentences single JSON empty'.split())
def test_lines_of_several_sentences_are_hinted_at(tmp_path, content, options, is_hinted):
  path = write(tmp_path / 'a', content)
  hint = source.hint([path], source.Source(cleaning=cleaning.Options(**options)))
  assert is_hinted == bool(hint) and (not hint or '--split_sentences' in hint)
