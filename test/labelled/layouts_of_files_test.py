"""How a file is understood: every layout, named and numbered columns, what a file may be written like."""

import gzip
import json

import pytest

from albert.common.errors import UserError
from albert.labelled.example import BadLine
from albert.labelled.example import EMPTY_LINE
from albert.labelled.example import Entity
from albert.labelled.layout import json_values
from albert.labelled.layout import layouts
from albert.labelled.layout import lines
from albert.labelled.options import LabelledOptions
from albert.labelled import sources


def write(folder, name, content):
  path = folder / name
  content = content if isinstance(content, bytes) else content.encode('utf-8')
  path.write_bytes(gzip.compress(content) if name.endswith('.gz') else content)
  return str(path)


def read(path, kind='classify', known=(), **options):
  options = LabelledOptions(**options)
  layout = layouts.recognise(path, kind, options, known)
  return layouts.describe(layout), list(layouts.read_examples(layout, options))


def rows(examples):
  return [(example.text_a, example.text_b, example.label) for example in examples]


def error_of(*arguments, **options):
  with pytest.raises(UserError) as caught:
    read(*arguments, **options)
  message = str(caught.value)
  assert '\n' not in message and 'expected' in message and 'found' in message
  return message


# (name, content, description, [(text_a, text_b, label)])
CLASSIFY = [
    ('a.json', '{"label": "102", "label_desc": "news_x", "sentence": "甲", "keywords": "k"}\n',
     'JSON lines, text `sentence`, label `label_desc`', [('甲', None, 'news_x')]),
    ('a.json', '{"sentence1": "甲", "sentence2": "乙", "label": "0"}\n{"sentence1": "丙", "sentence2": "", "label": 1}',
     'JSON lines, text `sentence1`, second text `sentence2`, label `label`', [('甲', '乙', '0'), ('丙', '', '1')]),
    ('a.json', '{"id": 1, "abst": "摘要", "keyword": ["词一", "词二"], "label": "1"}\n',
     'JSON lines, text `abst`, second text `keyword`, label `label`', [('摘要', '词一 词二', '1')]),
    ('a.json', '[{"text": "甲", "label": 1},\n {"text": "乙", "label": 2}]',
     'JSON, text `text`, label `label`', [('甲', None, '1'), ('乙', None, '2')]),
    ('a.csv', 'label,review\n1,"他说""好"",\n\t走了"\n0,"b"\n', 'CSV, text `review`, label `label`',
     [('他说"好",\n\t走了', None, '1'), ('b', None, '0')]),
    ('a.tsv', 'label\ttext_a\n1\t"甲"\t乙\n', 'TSV, text `text_a`, label `label`', [('"甲"\t乙', None, '1')]),
    ('a.tsv', 'text_a\tlabel\n甲\t乙\t0\n', 'TSV, text `text_a`, label `label`', [('甲\t乙', None, '0')]),
    ('a.tsv', 'text_a\ttext_b\tlabel\n甲\t乙\t0\n', 'TSV, text `text_a`, second text `text_b`, label `label`',
     [('甲', '乙', '0')]),
    ('a.tsv', 'premise\thypo\tlabel\n甲\t乙\t0\n', 'TSV, text `premise`, second text `hypo`, label `label`',
     [('甲', '乙', '0')]),
    ('a.json', '{"query": "甲", "title": "乙", "label": 1}',
     'JSON lines, text `query`, second text `title`, label `label`', [('甲', '乙', '1')]),
    ('a.txt', '好\t甲甲甲\n坏\t乙乙乙\n好\t丙丙丙\n', 'TSV, no header, text column 2, label column 1',
     [('甲甲甲', None, '好'), ('乙乙乙', None, '坏'), ('丙丙丙', None, '好')]),
    ('a.tsv', '甲甲\t乙乙\t1\n丙丙\t丁丁\t0\n戊戊\t己己\t1\n',
     'TSV, no header, text column 1, second text column 2, label column 3',
     [('甲甲', '乙乙', '1'), ('丙丙', '丁丁', '0'), ('戊戊', '己己', '1')]),
    ('a.csv', '1,甲甲\n0,乙乙\n1,丙丙\n', 'CSV, no header, text column 2, label column 1',
     [('甲甲', None, '1'), ('乙乙', None, '0'), ('丙丙', None, '1')]),
    ('a.txt', '甲\n\n乙，丙\n', 'lines of text', [('甲', None, None), ('', None, None), ('乙，丙', None, None)]),
]


@pytest.mark.parametrize('name, content, description, expected', CLASSIFY)
def test_layouts_of_classification(tmp_path, name, content, description, expected):
  layout, examples = read(write(tmp_path, name, content))
  assert (layout, rows(examples)) == (description, expected)
  assert [example.number for example in examples] == list(range(len(expected)))


@pytest.mark.parametrize('name, content, description, expected', CLASSIFY)
def test_byte_order_mark_crlf_gzip_and_no_last_newline_change_nothing(tmp_path, name, content, description, expected):
  plain = read(write(tmp_path, name, content))
  for change in (lambda text: '\ufeff' + text, lambda text: text.rstrip('\n'),
                 lambda text: '\ufeff' + text.replace('\n', '\r\n')):
    for suffix in ('', '.gz'):
      described, examples = read(write(tmp_path, name + suffix, change(content)))
      texts = rows(examples)
      if name.endswith('.csv'):  # A newline inside of quotes is text.
        texts = [(a.replace('\r', ''), b, label) for a, b, label in texts]
      assert (described, texts) == (description, rows(plain[1]))


def test_columns_can_be_named_and_numbered(tmp_path):
  path = write(tmp_path, 'a.csv', '标题甲,正文甲,类\n标题,正文,x\n')
  assert rows(read(path, text_a='标题甲', label='类')[1]) == [('标题', None, 'x')]
  assert rows(read(path, text_a='标题甲', text_b='正文甲', label='类')[1]) == [('标题', '正文', 'x')]
  path = write(tmp_path, 'b.tsv', '7\tx\t标题\t正文\n8\ty\t题\t文\n')
  assert rows(read(path, text_a='3', label='2')[1]) == [('标题', None, 'x'), ('题', None, 'y')]
  assert [example.id for example in read(path, text_a='3', text_b='4', label='2', id='1')[1]] == ['7', '8']
  path = write(tmp_path, 'c.json', '{"sentence1": "甲", "sentence2": "乙", "title": "丙", "label": 1}')
  assert rows(read(path, text_a='title')[1]) == [('丙', None, '1')]
  # A column of distinct whole numbers is no text.
  path = write(tmp_path, 'd.tsv', '7\tx\t标题\t正文\n8\tx\t题\t文\n9\ty\t题\t文\n')
  assert read(path)[0] == 'TSV, no header, text column 3, second text column 4, label column 2, id column 1'


def test_a_name_that_is_not_there_is_an_error_that_names_those_that_are(tmp_path):
  assert 'found text, label;' in error_of(write(tmp_path, 'a.json', '{"text": "", "label": 1}'), text_a='titel')
  assert '标题, x;' in error_of(write(tmp_path, 'a.json', '{"标题": "", "x": 1}'))
  assert 'FinetuneData.label' in error_of(write(tmp_path, 'a.tsv', '甲\t1\n乙\t2\n'), label='label')
  assert '4 columns' in error_of(write(tmp_path, 'a.tsv', '甲\t乙\t丙\t1\n甲\t乙\t丁\t1\n'))


def test_a_header_with_other_names_is_no_example(tmp_path):
  table = 'Kategorie\tInhalt\n' + ''.join('{}\t内容{}\n'.format('xy'[n % 2], n) for n in range(40))
  assert 'Kategorie' in error_of(write(tmp_path, 'a.tsv', table))
  path = write(tmp_path, 'a.tsv', table)
  assert len(read(path, text_a='Inhalt', label='Kategorie')[1]) == 40


def test_known_labels_tell_the_label_of_a_table_without_a_header(tmp_path):
  pair = write(tmp_path, 'a.tsv', '同\t甲\n异\t乙\n')
  assert rows(read(pair, known=['x', 'y'])[1]) == [('同', '甲', None), ('异', '乙', None)]
  assert rows(read(pair, known=['同', '异', '缺'])[1]) == [('甲', None, '同'), ('乙', None, '异')]


@pytest.mark.parametrize('value, label', [
    ('5', '5'), ('"5"', '5'), ('5.0', '5'), ('"5.0"', '5'), ('-1', '-1'), ('"-1.0"', '-1'), ('true', 'true'),
    ('""', None), ('null', None), ('" a "', 'a'), ('"01"', '01'), ('"5.5"', '5.5'), ('"-"', '-')])
def test_a_label_is_the_same_however_it_is_written(tmp_path, value, label):
  assert rows(read(write(tmp_path, 'a.json', '{"text": "甲", "label": %s}' % value))[1]) == [('甲', None, label)]


def test_a_pair_without_agreement_has_no_label(tmp_path):
  path = write(tmp_path, 'a.json', '{"sentence1": "甲", "sentence2": "乙", "label": "-"}')
  assert rows(read(path)[1]) == [('甲', '乙', None)]


@pytest.mark.parametrize('value, options, label', [
    ('["a", "b", "a"]', {}, ('a', 'b')), ('[]', {}, ()), ('"a|b"', {'multi_label': True}, ('a', 'b')),
    ('"a, b"', {'multi_label': True}, ('a', 'b')), ('"a,b|c"', {'multi_label': True}, ('a,b', 'c')),
    ('"a;b"', {'multi_label': True, 'label_separator': ';'}, ('a', 'b')), ('""', {'multi_label': True}, ()),
    ('"a|b"', {}, 'a|b'), ('[1, 2.0]', {}, ('1', '2'))])
def test_labels_of_several_classes(tmp_path, value, options, label):
  path = write(tmp_path, 'a.json', '{"text": "甲", "label": %s}' % value)
  assert read(path, **options)[1][0].label == label


def test_a_list_where_one_class_is_allowed_is_said(tmp_path):
  path = write(tmp_path, 'a.json', '{"text": "甲", "label": ["a"]}')
  assert 'multi_label=True' in read(path, multi_label=False)[1][0].error


def test_numbers_of_regression(tmp_path):
  path = write(tmp_path, 'a.tsv', '甲\t乙\t3.5\n丙\t丁\t-1\n')
  assert rows(read(path, 'regress')[1]) == [('甲', '乙', 3.5), ('丙', '丁', -1.)]
  path = write(tmp_path, 'a.json', '{"sentence": "甲", "score": 0.50}\n{"sentence": "乙", "score": "1e999"}\n'
                                   '{"sentence": "乙", "score": "nan"}\n{"sentence": "乙", "score": null}')
  examples = read(path, 'regress')[1]
  assert examples[0].label == 0.5 and examples[3].label is None
  assert [bad.error for bad in examples[1:3]] == ["expected a number, found '1e999'", "expected a number, found 'nan'"]


def tags_of(found):
  return [(example.text_a, example.label.tags) for example in found]


@pytest.mark.parametrize('content, expected', [
    ('北 B-LOC\n京 I-LOC\n\n我 O\n', [('北京', ['B-LOC', 'I-LOC']), ('我', ['O'])]),
    ('北\tB-LOC\n京\tI-LOC\n\n\n\n我\tO', [('北京', ['B-LOC', 'I-LOC']), ('我', ['O'])]),
    ('-DOCSTART- O\n\n北 NN x B-LOC\n', [('北', ['B-LOC'])]),
    ('北 O\n  O\n\u3000 O\n京 O\n\tO\n', [('北 \u3000京 ', ['O'] * 5)]),
    ('New B-LOC\nYork I-LOC\n的 O\nN O\nB O\n', [('New York的NB', ['B-LOC', 'I-LOC', 'O', 'O', 'O'])]),
])
def test_conll(tmp_path, content, expected):
  description, examples = read(write(tmp_path, 'a.txt', content), 'tag')
  assert description == 'CoNLL, a character and its tag per line'
  assert tags_of(examples) == expected
  for example in examples:
    assert [len(example.text_a[start:end]) > 0 for start, end in zip(example.label.starts, example.label.ends)]


def test_a_conll_line_without_a_tag_is_an_error(tmp_path):
  lines = ''.join('字 O\n' for _ in range(30))
  examples = read(write(tmp_path, 'a.txt', lines + '字\n字 O\n\n字 O\n'), 'tag')[1]
  assert isinstance(examples[0], BadLine) and "'字' in line 31" in examples[0].error
  assert examples[1].text_a == '字' and examples[1].line == 34


def test_conll_without_tags_is_text_without_labels(tmp_path):
  path = write(tmp_path, 'a.txt', '\n\n'.join('\n'.join('我去北京') for _ in range(3)) + '\n\n2018\n年\n')
  found = read(path, 'tag')[1]
  assert rows(found) == [('我去北京', None, None)] * 3 + [('2018年', None, None)]
  assert [example.line for example in found] == [1, 6, 11, 16]
  # In a file with tags they are missed all the same, where some are there.
  found = read(write(tmp_path, 'b.txt', '字 O\n' * 30 + '\n字\n字\n\n字\n字 O\n'), 'tag')[1]
  assert found[1].label is None and isinstance(found[2], BadLine)
  # A few lines of a character each are texts.
  assert rows(read(write(tmp_path, 'c.txt', '甲\n乙\n'), 'tag')[1]) == [('甲', None, None), ('乙', None, None)]


def test_characters_and_tags_joined_by_blanks(tmp_path):
  path = write(tmp_path, 'a.tsv', 'text_a\tlabel\n我 去 北 京\tO O B-LOC I-LOC\n我   去\tO O O\n1 9 年\tO O\n')
  examples = read(path, 'tag')[1]
  assert tags_of(examples[:2]) == [('我去北京', ['O', 'O', 'B-LOC', 'I-LOC']), ('我 去', ['O', 'O', 'O'])]
  assert examples[2].error == 'expected a tag for each of 3 characters, found 2 tags' and examples[2].line == 4
  # White space of another kind may be a unit, beside longer ones.
  path = write(tmp_path, 'c.tsv', 'text_a\tlabel\n2018 年 \u3000 京\tO O O B-LOC\n\u3000 京 2018\tO B-LOC O\n')
  assert tags_of(read(path, 'tag')[1]) == [
      ('2018年\u3000京', ['O', 'O', 'O', 'B-LOC']), ('\u3000京2018', ['O', 'B-LOC', 'O'])]
  # For prediction.
  assert rows(read(write(tmp_path, 'b.tsv', 'text_a\n我 去 北 京\n我去北京 了\n'), 'tag')[1]) == [
      ('我去北京', None, None), ('我去北京 了', None, None)]


def test_cluener(tmp_path):
  text = '浙商银行叶老桂'
  label = {'name': {'叶老桂': [[4, 6]]}, 'company': {'浙商银行': [[0, 3]]}}
  path = write(tmp_path, 'a.json', json.dumps({'text': text, 'label': label}) + '\n' + json.dumps({'text': text}) + '\n'
               + json.dumps({'text': text, 'label': {'name': {'叶老桂': [[3, 5]]}}}))
  examples = read(path, 'tag')[1]
  assert examples[0].label == (Entity('company', 0, 4, '浙商银行'), Entity('name', 4, 7, '叶老桂'))
  assert examples[1].label is None
  assert examples[2].error == 'expected "叶老桂" at characters 3 to 5, found "行叶老"'


def test_plain_text_is_no_conll(tmp_path):
  assert read(write(tmp_path, 'a.txt', '我去北京\n他去 O\n我们\n'), 'tag')[0] == 'lines of text'


def test_json_that_does_not_parse_names_the_line(tmp_path):
  path = write(tmp_path, 'a.json', '{"text": "甲", "label": 1}\n{"text": \n\n[1]\n{"text": NaN}\n{"label": 1}\n')
  examples = read(path)[1]
  assert [bad.line for bad in examples[1:]] == [2, 3, 4, 5, 6]
  assert examples[2].error == EMPTY_LINE and 'expected a JSON object' in examples[3].error
  assert examples[5].error == 'expected the text "text", found label'


def test_bytes_that_are_not_utf8_are_an_error_of_their_line(tmp_path):
  gb18030 = '{"text": "甲乙", "label": 1}\n'.encode('gb18030')
  path = write(tmp_path, 'a.json', '{"text": "甲", "label": 1}\n'.encode() + gb18030 + b'{"text": "\\ud800"}\n')
  examples = read(path)[1]
  assert [bad.line for bad in examples[1:]] == [2, 3] and all('UTF-8' in bad.error for bad in examples[1:])
  assert 'UTF-16' in error_of(write(tmp_path, 'b.json', '{"text": "甲"}'.encode('utf-16')))


def test_tables_say_what_is_wrong_with_a_row(tmp_path):
  examples = read(write(tmp_path, 'a.tsv', 'label\ttext_a\ttext_b\n1\t甲\n1\t甲\t乙\t丙\n\n1\t甲\t乙\n'))[1]
  assert [entry.line for entry in examples] == [2, 3, 4, 5]
  assert 'expected 3 columns (label, text_a, text_b), found 2' == examples[0].error
  assert examples[2].error == EMPTY_LINE and examples[3].label == '1'
  examples = read(write(tmp_path, 'a.csv', 'label,text\n1,"甲"乙\n0,丙\n1,"开\n1,丁\n'))[1]
  assert [entry.line for entry in examples] == [2, 3, 4]
  assert 'quote' in examples[0].error and examples[1].text_a == '丙' and 'quote' in examples[2].error


def test_a_line_is_the_one_where_a_record_begins(tmp_path):
  examples = read(write(tmp_path, 'a.csv', 'label,text\n1,"甲\n乙"\n0,丙\n'))[1]
  assert [example.line for example in examples] == [2, 4]
  examples = read(write(tmp_path, 'a.json', '[\n{"text": "甲"},\n\n{"text":\n "乙"}\n]\n'))[1]
  assert [example.line for example in examples] == [2, 4]


@pytest.mark.parametrize('content', [
    '[{"text": "甲"}, {"text": 乙}]', '[{"text": "甲"}, {"text": "乙"', '[{"text": "甲"} '])
def test_an_array_that_does_not_parse_is_an_error_with_its_line(tmp_path, content):
  assert 'a.json:2:' in error_of(write(tmp_path, 'a.json', '\n' + content))


def test_what_is_no_json_is_noticed_where_it_stands(tmp_path):
  path = write(tmp_path, 'a.json', '[{"text": 乙}, ' + ', '.join(['{"text": "甲"}'] * 100000) + ']')
  source = lines.open_bytes(path)
  with pytest.raises(UserError):
    next(iter(json_values._Elements(path, source, 1)))
  assert source.tell() < 1 << 18


def test_a_field_called_data_is_a_field(tmp_path):
  path = write(tmp_path, 'a.json', '{"data": [], "text": "甲"}\n{"data": ["x"], "text": "乙"}\n')
  assert [example.text_a for example in read(path)[1]] == ['甲', '乙']


def test_long_texts_and_many_values_are_read_whole(tmp_path):
  values = [{'text': 'ab"\\\n甲' * size, 'label': size} for size in (1, 100000, 5, 30000)] * 3
  path = write(tmp_path, 'a.json.gz', json.dumps({'version': {'data': 1}, 'data': values}, ensure_ascii=False))
  assert rows(read(path)[1]) == [(value['text'], None, str(value['label'])) for value in values]
  path = write(tmp_path, 'b.csv', 'label,text\n1,"{}"\n'.format('甲' * 200000))
  assert len(read(path)[1][0].text_a) == 200000


def test_reading_for_prediction_never_holds_the_file(tmp_path):
  """Only as much of the file is read as the examples that are asked for need."""
  path = write(tmp_path, 'a.json', ''.join('{"text": "甲%d", "id": %d}\n' % (n, n) for n in range(20000)) + '{')
  entries = sources.read_labelled(path, 'classify', LabelledOptions(), labelled=False)
  assert next(entries).id == 0
  path = write(tmp_path, 'b.json', '[' + ', '.join('{"text": "甲%d"}' % n for n in range(20000)) + ', oops]')
  entries = sources.read_labelled(path, 'classify', LabelledOptions(), labelled=False)
  assert next(entries).text_a == '甲0'
  with pytest.raises(UserError):
    list(entries)


@pytest.mark.parametrize('name, content, found', [
    ('a.json.gz', b'\x1f\x8b\x08broken', 'found one that cannot be read'), ('a.json', None, 'found none; check')])
def test_files_that_cannot_be_read(tmp_path, name, content, found):
  if content:
    (tmp_path / name).write_bytes(content)
  assert found in error_of(str(tmp_path / name))


def test_files_without_anything_in_them(tmp_path):
  for name in ('a.json', 'a.txt', 'a.tsv', 'a.csv', 'a.json.gz'):
    assert read(write(tmp_path, name, ''))[1] == []
  assert [entry.error for entry in read(write(tmp_path, 'b.json', '\n\n'))[1]] == [EMPTY_LINE] * 2


@pytest.mark.parametrize('content, line, found', [
    ('{"text": "甲", "label": 1},\n{"text": "乙", "label": 0},\n', 1, 'Extra data'), ('\n[甲]\n', 2, 'Expecting value'),
    ('not JSON\n', 1, 'Expecting value'), ('5\n"甲"\n', 1, 'expected a JSON object')])
def test_a_file_without_one_record_of_json_names_its_first_mistake(tmp_path, content, line, found):
  message = error_of(write(tmp_path, 'a.json', content))
  assert 'a.json:{}: expected '.format(line) in message and found in message


def test_a_header_that_names_a_column_twice_is_no_example(tmp_path):
  assert 'found text twice' in error_of(write(tmp_path, 'a.csv', 'text,text,label\n甲,乙,1\n'))
  # The index that pandas writes has no name, nor have columns that were deleted.
  assert rows(read(write(tmp_path, 'a.csv', ',,text,label\n0,,甲,1\n'))[1]) == [('甲', None, '1')]
