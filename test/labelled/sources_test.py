"""The splits of a folder: files, dev from train, labels, what is left out and counted; and files for prediction."""

import gzip
import json

import pytest

from albert.common.errors import UserError
from albert.labelled.example import BadLine
from albert.labelled.example import Entity
from albert.labelled.labels import Labels
from albert.labelled.options import LabelledOptions
from albert.labelled import sources


def json_lines(rows):
  return ''.join(json.dumps(row, ensure_ascii=False) + '\n' for row in rows)


def texts(labels, start=0):
  return [{'text': '文{}'.format(start + number), 'label': label} for number, label in enumerate(labels)]


def write(folder, **files):
  """Writes files, named by split; content: str, or rows of JSON lines."""
  for name, content in files.items():
    name = name.replace('_', '.') if '_' in name else name + '.json'
    (folder / name).write_text(content if isinstance(content, str) else json_lines(content), encoding='utf-8')
  return str(folder)


def open_splits(folder, kind='classify', **options):
  return sources.open_splits(folder, kind, LabelledOptions(**options))


def error_of(folder, kind='classify', **options):
  with pytest.raises(UserError) as caught:
    open_splits(folder, kind, **options)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def test_the_splits_of_a_folder(tmp_path):
  folder = write(tmp_path, train=texts('abab'), dev=texts('ab', 10), test=texts('b', 20))
  splits = open_splits(folder)
  assert [[example.text_a for example in split] for split in (splits.train, splits.dev, splits.test)] == [
      ['文0', '文1', '文2', '文3'], ['文10', '文11'], ['文20']]
  assert splits.labels.names == ['a', 'b'] and splits.labels.counts == {'a': 2, 'b': 2}
  assert splits.notes[0] == folder + '/train.json: JSON lines, text `text`, label `label`, 4 examples'
  assert splits.counts == {'train_examples': 4, 'dev_examples': 2, 'test_examples': 1}


@pytest.mark.parametrize('name', ['valid.json', 'val.tsv', 'validation.csv.gz', 'dev.txt'])
def test_dev_has_several_names(tmp_path, name):
  table = 'text\tlabel\n甲\ta\n'
  content = table.replace('\t', ',') if 'csv' in name else json_lines(texts('a')) if 'json' in name else table
  (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith('.gz') else content.encode())
  splits = open_splits(write(tmp_path, train=texts('ab')))
  assert len(splits.dev) == 1 and splits.files['dev'] == str(tmp_path / name)


def test_paths_can_be_named(tmp_path):
  folder = write(tmp_path, trial=texts('ab'), other=texts('a', 10), train=texts('ccd'))
  splits = open_splits(folder, train='trial.json', dev=str(tmp_path / 'other.json'))
  assert splits.labels.names == ['a', 'b'] and len(splits.dev) == 1


def test_what_is_wrong_with_a_folder(tmp_path):
  assert 'found nothing there' in error_of(str(tmp_path / 'absent'))
  (tmp_path / 'notes.md').write_text('')
  assert 'expected train' in error_of(str(tmp_path)) and 'notes.md' in error_of(str(tmp_path))
  write(tmp_path, train=texts('ab'), train_tsv='text\tlabel\n')
  assert 'train.json and train.tsv' in error_of(str(tmp_path))
  assert 'FinetuneData.dev' in error_of(str(tmp_path), train='train.json', dev='absent.json')
  assert 'kind of task' in error_of(str(tmp_path), 'clasify')


def test_a_text_that_is_not_read_is_told(tmp_path):
  """A second one under a name that nobody knows would be lost, and the first one alone says little."""
  rows = [dict(row, claim='断言{}'.format(number), number=str(number), keywords='词{}'.format(number),
               kind='ab'[number % 2]) for number, row in enumerate(texts('ab' * 10))]
  folder = write(tmp_path, train=rows)
  notes = [note for note in open_splits(folder).notes if 'not read' in note]
  assert notes == ["train: `claim` not read; if it is a second text, say FinetuneData.text_a='text' and FinetuneData."
                   "text_b='claim'"]
  for options in ({'text_a': 'text'}, {'text_a': 'text', 'text_b': 'claim'}):
    assert not [note for note in open_splits(folder, **options).notes if 'not read' in note]


def test_without_dev_a_tenth_of_the_texts_is_taken_by_their_hash(tmp_path):
  rows = texts('ab' * 500)
  splits = open_splits(write(tmp_path, train=rows))
  assert 60 < len(splits.dev) < 140 and len(splits.train) + len(splits.dev) == 1000
  assert any('dev: no file, {} of the 1,000 examples'.format(len(splits.dev)) in note for note in splits.notes)
  assert [example.number for example in splits.train] == list(range(len(splits.train)))
  # The same texts, whatever else is in the file, and the same text is never in both.
  again = open_splits(write(tmp_path, train=rows[::-1] + rows[:100] + texts('c', 5000)))
  chosen = {example.text_a for example in splits.dev}
  assert chosen <= {example.text_a for example in again.dev} | {''}
  assert 'dev_also_in_train' not in again.counts


@pytest.mark.parametrize('count', [2, 3, 5])
def test_dev_of_few_texts_is_not_empty(tmp_path, count):
  splits = open_splits(write(tmp_path, train=texts('abcde'[:count])))
  assert splits.train and splits.dev


def test_one_text_is_not_enough(tmp_path):
  assert 'two different texts' in error_of(write(tmp_path, train=[{'text': '甲', 'label': label} for label in 'ab']))


def test_the_questions_on_a_text_stay_together(tmp_path):
  rows = [{'context_text': '甲乙丙{}'.format(number), 'qas': [
      {'query_text': '问{}'.format(question), 'query_id': '', 'answers': ['甲']} for question in range(3)]}
          for number in range(30)]
  splits = open_splits(write(tmp_path, train=json.dumps(rows)), 'read')
  assert not {example.text_b for example in splits.train} & {example.text_b for example in splits.dev}


def test_labels_are_in_order(tmp_path):
  def names(labels, **options):
    return open_splits(write(tmp_path, train=texts(labels), dev=texts(labels[:1])), **options).labels.names
  assert names(['10', 9, '2.0', -1]) == ['-1', '2', '9', '10']
  assert names(['b', 'a', '10', '9']) == ['10', '9', 'a', 'b']
  (tmp_path / 'labels.txt').write_text('b\na\nc\n')
  assert names(['a', 'b'], labels_file=str(tmp_path / 'labels.txt')) == ['b', 'a', 'c']


@pytest.mark.parametrize('name', ['label_desc', 'label_des'])
@pytest.mark.parametrize('described, numbers', [
    ([('story', '100'), ('car', 7), ('story', '100')], {'story': '100', 'car': '7'}),
    ([('story', '100'), ('car', '100')], {}), ([('story', '100'), ('car', '7'), ('story', '101')], {}),
    ([('story', '100'), ('car', None)], {}), ([('story', '100'), ('car', ['7'])], {})])
def test_the_number_of_a_label_is_kept_where_each_has_one_of_its_own(tmp_path, name, described, numbers):
  rows = [{'text': '文{}'.format(place), name: label, 'label': number}
          for place, (label, number) in enumerate(described)]
  labels = open_splits(write(tmp_path, train=rows, dev=rows[:1])).labels
  assert set(labels.names) == {'story', 'car'} and labels.numbers == numbers
  labels.save(str(tmp_path / 'labels.json'))
  assert Labels.load(str(tmp_path / 'labels.json')).numbers == numbers
  assert open_splits(str(tmp_path), label=name).labels.numbers == numbers


def test_an_unknown_label_names_file_and_line(tmp_path):
  folder = write(tmp_path, train=texts('ab'), dev=texts('abc'), test=texts('d'))
  message = error_of(folder)
  assert 'dev.json:3:' in message and 'found c' in message and '(a, b)' in message
  splits = open_splits(folder, unknown_labels='skip')
  assert [example.label for example in splits.dev] == ['a', 'b']
  # Every text of test is predicted, also one that is not scored.
  assert [example.label for example in splits.test] == [None]
  assert (splits.counts['dev_unknown_labels'], splits.counts['test_unknown_labels']) == (1, 1)


def test_unknown_classes_and_types_are_taken_out_of_their_example(tmp_path):
  splits = open_splits(write(tmp_path, train=texts([['a'], ['b']]), dev=texts([['a', 'c'], ['c']])),
                       unknown_labels='skip')
  assert [example.label for example in splits.dev] == [('a',), ()] and splits.labels.multi_label
  tagged = 'text_a\tlabel\n北 京\tB-LOC I-LOC\n'
  folder = write(tmp_path, train_tsv=tagged, dev_tsv='text_a\tlabel\n北 京\tB-LOC B-PER\n')
  for name in ('train.json', 'dev.json'):
    (tmp_path / name).unlink()
  assert 'dev.tsv:2: expected one of the labels of train (LOC), found PER' in error_of(folder, 'tag')
  splits = open_splits(folder, 'tag', unknown_labels='skip')
  assert splits.dev[0].label == (Entity('LOC', 0, 1, '北'),)


def test_pairs_without_agreement_are_dropped_and_counted(tmp_path):
  rows = [{'sentence1': '甲', 'sentence2': str(number), 'label': label}
          for number, label in enumerate(['a', 'b', '-', ''])]
  splits = open_splits(write(tmp_path, train=rows, dev=rows, test=rows))
  assert len(splits.train) == len(splits.dev) == 2 and len(splits.test) == 4
  assert splits.counts['train_without_label'] == splits.counts['dev_without_label'] == 2
  assert 'train: 2 examples without a label are left out' in splits.notes


def test_texts_of_train_in_dev_are_counted_and_said(tmp_path):
  splits = open_splits(write(tmp_path, train=texts('abab'), dev=texts('aba', 2), test=texts('a', 50)))
  assert splits.counts['dev_also_in_train'] == 2 and 'test_also_in_train' not in splits.counts
  assert 'dev: 2 of 3 texts are in train too: its figures will be too good' in splits.notes


def test_test_needs_no_labels(tmp_path):
  splits = open_splits(write(tmp_path, train=texts('ab'), dev=texts('a'), test=[{'text': '甲', 'id': 7}]))
  assert [(example.id, example.label) for example in splits.test] == [(7, None)]
  assert open_splits(write(tmp_path, train=texts('ab')), test=None).test is not None


def test_train_and_dev_need_labels(tmp_path):
  unlabelled = [{'text': '甲', 'other': 1}]
  assert 'columns text, other' in error_of(write(tmp_path, train=unlabelled))
  assert 'dev.json' in error_of(write(tmp_path, train=texts('ab'), dev=unlabelled))
  assert 'without' in error_of(write(tmp_path, train=texts([None, '']), dev=texts('a')))
  assert 'two classes' in error_of(write(tmp_path, train=texts('aa'), dev=texts('a')))


@pytest.mark.parametrize('name, content, found', [
    ('train.json', '', 'an empty file'), ('train.txt', '', 'an empty file'), ('train.csv', '', 'an empty file'),
    ('train.tsv', 'text\tlabel\n', 'none below the header'), ('dev.json', '\n', 'an empty file')])
def test_a_file_without_examples_is_said_to_be_empty(tmp_path, name, content, found):
  if name != 'dev.json':
    write(tmp_path, dev=texts('ab'))
  else:
    write(tmp_path, train=texts('ab'))
  (tmp_path / name).write_text(content)
  assert '{}: expected examples, found {};'.format(name, found) in error_of(str(tmp_path))


def test_several_classes_where_train_has_one_of_each_text(tmp_path):
  folder = write(tmp_path, train=texts('ab'), dev=texts(['a', ['a', 'b']]))
  assert "dev.json:2: expected one class, as in train, found ['a', 'b']" in error_of(folder)
  assert open_splits(folder, multi_label=True).dev[1].label == ('a', 'b')


def test_a_line_that_cannot_be_read_stops_training(tmp_path):
  assert 'train.json:2: expected JSON' in error_of(write(tmp_path, train=json_lines(texts('a')) + '{"text"\n'))
  assert len(open_splits(write(tmp_path, train=json_lines(texts('ab')).replace('\n', '\n\n'))).train) == 1


def test_tags_that_no_scheme_allows_name_file_and_line(tmp_path):
  good = '北 B-LOC\n京 I-LOC\n\n' * 10
  folder = write(tmp_path, train_txt=good + '我 O\n北 B-LOC\n京 I-PER\n', dev_txt=good)
  assert 'train.txt:33: expected tags of BIO, found I-PER after B-LOC' in error_of(folder, 'tag')
  folder = write(tmp_path, train_txt=good, dev_txt=good + '我 X-LOC\n')
  assert 'dev.txt:31:' in error_of(folder, 'tag')


@pytest.mark.parametrize('train, line, found', [
    ('北 X-LOC\n京 I-LOC\n\n' * 3, 1, '北 X-LOC'),
    ('北 B-LOC\n京 0\n\n' * 3, 2, '京 0'),
    ('\n北 b-loc\n京 o\n', 2, '北 b-loc'),
    ('B-LOC 北\nI-LOC 京\nO 我\n', 1, 'B-LOC 北'),
    ('我去北京\n他不去\n', 1, '我去北京')])
def test_tags_of_no_scheme_at_all_name_file_and_line(tmp_path, train, line, found):
  message = error_of(write(tmp_path, train_txt=train), 'tag')
  assert 'train.txt:{}: expected a character, '.format(line) in message and "found '{}'".format(found) in message


@pytest.mark.parametrize('train, scheme, names, count', [
    ('北 B-L\n京 I-L\n\n我 O\n', 'BIO', ['O', 'B-L', 'I-L'], 1),
    ('北 I-L\n京 B-L\n\n我 O\n', 'BIO', ['O', 'B-L', 'I-L'], 2),
    ('北 B-L\n京 E-L\n我 S-L\n', 'BIOES', ['O', 'B-L', 'E-L', 'I-L', 'S-L'], 2),
    ('北 B-L\n京 M-L\n我 E-L\n', 'BMES', ['O', 'B-L', 'E-L', 'M-L', 'S-L'], 1),
    ('北 B-L\n京 I-L\n我 S-L\n', 'BIOS', ['O', 'B-L', 'I-L', 'S-L'], 2)])
def test_the_scheme_of_the_file_is_learned(tmp_path, train, scheme, names, count):
  splits = open_splits(write(tmp_path, train_txt=train + '\n来 O\n', dev_txt=train), 'tag')
  assert (splits.labels.scheme, splits.labels.names) == (scheme, names)
  assert splits.labels.counts == {'L': count} and sum(len(example.label) for example in splits.train) == count


def test_overlapping_entities_are_left_out_and_counted(tmp_path):
  row = {'text': '北京大学', 'label': {'org': {'北京大学': [[0, 3]]}, 'loc': {'北京': [[0, 1]]}}}
  splits = open_splits(write(tmp_path, train=[row, {'text': '无', 'label': {}}], dev=[row]), 'tag')
  assert splits.train[0].label == (Entity('org', 0, 4, '北京大学'),) and splits.train[1].label == ()
  assert splits.counts['train_overlapping_entities'] == 1


def test_the_facts_of_answers_are_counted(tmp_path):
  def question(text, start, **more):
    return {'context': '甲乙甲', 'question': text, 'answers': [{'text': text, 'answer_start': start}], **more}
  rows = [question('甲', 1), question('丙', 0), question('乙', 1), question('甲 乙', 0),
          dict(question('', 0), is_impossible=True)]
  splits = open_splits(write(tmp_path, train=rows, dev=rows[1:2]), 'read')
  counts = {name: count for name, count in splits.counts.items() if name.startswith('train')}
  assert counts == {'train_examples': 5, 'train_unanswerable': 1, 'train_answers_moved': 1,
                    'train_answers_not_found': 1, 'train_answers_not_as_written': 2, 'train_answers_several_times': 1}
  assert 'train: 1 answers are not in their text, these questions are left out of training' in splits.notes
  assert len(splits.dev) == 1  # never from evaluation


def test_the_hash_is_that_of_the_contents(tmp_path):
  folder = write(tmp_path, train=texts('ab'), dev=texts('a'))
  first = open_splits(folder).sha256
  assert open_splits(folder).sha256 == first and len(first) == 64
  write(tmp_path, dev=texts('b'))
  second = open_splits(folder).sha256
  # The same files in other roles are other data.
  other = tmp_path / 'other'
  other.mkdir()
  alone = [open_splits(write(other, train=texts('ab'))).sha256, open_splits(write(other, test=texts('ab'))).sha256]
  (other / 'test.json').rename(other / 'dev.json')
  assert len(set(alone + [open_splits(str(other)).sha256])) == 3
  write(tmp_path, train=texts('ab'), dev=texts('ba'))
  turned = open_splits(folder, train='dev.json', dev='train.json').sha256
  assert len({first, second, turned, open_splits(folder).sha256}) == 4


def read_labelled(path, kind, labels=None, labelled=True, **options):
  return list(sources.read_labelled(str(path), kind, LabelledOptions(**options), labels, labelled))


def test_a_file_for_prediction_is_answered_line_by_line(tmp_path):
  labels = open_splits(write(tmp_path, train=texts('ab'))).labels
  (tmp_path / 'in.json').write_text('{"text": "甲", "id": "x"}\n{"text"\n{"id": 3}\n{"text": "乙", "label": "z"}\n',
                                    encoding='utf-8')
  entries = read_labelled(tmp_path / 'in.json', 'classify', labels, labelled=False)
  assert [type(entry) is BadLine for entry in entries] == [False, True, True, False]
  assert [entry.line for entry in entries] == [1, 2, 3, 4] and [entry.id for entry in entries] == ['x', None, 3, None]
  assert {entry.label for entry in entries if not isinstance(entry, BadLine)} == {None}
  assert 'found z' in read_labelled(tmp_path / 'in.json', 'classify', labels)[3].error
  assert read_labelled(tmp_path / 'in.json', 'classify', labels, unknown_labels='skip')[3].label is None


def test_a_file_for_prediction_needs_no_labels_and_may_have_wrong_ones(tmp_path):
  labels = open_splits(write(tmp_path, train=texts('ab'))).labels
  (tmp_path / 'a.json').write_text('{"text": "甲", "class": [[1]]}\n', encoding='utf-8')
  (tmp_path / 'b.json').write_text('{"text": "甲"}\n', encoding='utf-8')
  for name in ('a.json', 'b.json'):
    example, = read_labelled(tmp_path / name, 'classify', labels, labelled=False, label='class')
    assert (example.text_a, example.label) == ('甲', None)
  (tmp_path / 'c.tsv').write_text('text_a\tlabel\n北 京\tO\n', encoding='utf-8')
  (tmp_path / 'd.txt').write_text('北 B-X\n京 I-Y\n\n' * 20 + '北\n', encoding='utf-8')
  (tmp_path / 'e.json').write_text('{"context": "甲", "question": "乙", "answers": [null]}', encoding='utf-8')
  assert [example.text_a for example in read_labelled(tmp_path / 'c.tsv', 'tag', labelled=False)] == ['北京']
  assert {(example.text_a, example.label) for example in read_labelled(tmp_path / 'd.txt', 'tag', labelled=False)} == {
      ('北京', None), ('北', None)}
  assert read_labelled(tmp_path / 'e.json', 'read', labelled=False)[0].label is None
  assert isinstance(read_labelled(tmp_path / 'e.json', 'read')[0], BadLine)


def test_a_named_label_that_train_has_not(tmp_path):
  assert 'expected a label "class", found the columns text, label' in error_of(
      write(tmp_path, train=texts('ab')), label='class')


def test_tables_without_a_header_are_read_as_train_is(tmp_path):
  rows = ['{}\t文{}\n'.format('xyz'[number % 3], number) for number in range(40)]
  folder = write(tmp_path, train_tsv=''.join(rows), dev_tsv='x\t文\n', test_tsv='文甲\n文乙\n')
  splits = open_splits(folder)
  assert (splits.dev[0].label, splits.dev[0].text_a) == ('x', '文')
  assert [(example.text_a, example.label) for example in splits.test] == [('文甲', None), ('文乙', None)]
  write(tmp_path, dev_tsv='q\t文\n')
  assert 'dev.tsv:1: ' in error_of(folder) and 'found q' in error_of(folder)


def test_tags_without_an_entity_are_no_training_data(tmp_path):
  assert 'found tags that are all O' in error_of(write(tmp_path, train_txt='北 O\n京 O\n\n我 O\n'), 'tag')


def test_a_labelled_file_is_read_as_in_training(tmp_path):
  folder = write(tmp_path, train_txt='北 B-L\n京 I-L\n\n我 O\n',
                 dev_txt='京 I-L\n\n我 O\n我 O\n\n我 O\n京 B-L\n')
  labels = open_splits(folder, 'tag', dev='train.txt').labels
  entries = read_labelled(tmp_path / 'train.txt', 'tag', labels)
  assert [example.label for example in entries] == [(Entity('L', 0, 2, '北京'),), ()]
  entries = read_labelled(tmp_path / 'dev.txt', 'tag', labels)
  assert [type(entry) is BadLine for entry in entries] == [False, False, True]
  assert entries[2].line == 7 and entries[2].error == 'expected tags of IOB1, found B-L after O'


def test_a_text_is_the_same_in_another_spelling(tmp_path):
  """In train and dev; and where train is divided, on one side only."""
  spelt = [{'text': '\ufeff 甲ＡＢ{}'.format(number), 'label': 'a'} for number in range(60)]
  rows = [{'text': '甲ab{}'.format(number), 'label': 'ab'[number % 2]} for number in range(60)]
  splits = open_splits(write(tmp_path, train=rows, dev=spelt[:3] + texts('a')))
  assert splits.counts['dev_also_in_train'] == 3
  (tmp_path / 'dev.json').unlink()
  splits = open_splits(write(tmp_path, train=rows + spelt))
  assert len(splits.train) + len(splits.dev) == 120 and 'dev_also_in_train' not in splits.counts
