"""tools.preprocessing.report: the figures of the records, in one file that needs nothing else."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from albert.dataset import example_writer
from albert.dataset import tfrecord
from albert.dataset import tokenization
from tools.preprocessing import data_set
from tools.preprocessing import readable
from tools.preprocessing import report

import small_corpus


def test_the_report_has_the_figures_of_the_records(tmp_path):
  paths = small_corpus.write(tmp_path, small_corpus.text(60) + '\n<b>弈棋&慢</b>，很好。\n')
  info = data_set.create(small_corpus.settings(paths[1]), [paths[0]], str(tmp_path / 'd')).info
  text = (tmp_path / 'd' / 'data_report.html').read_text(encoding='utf-8')
  records = [example_writer.parse_example(record) for path in info.paths('train')
             for record in tfrecord.read_records(path)]
  used = np.concatenate([record['input_mask'] for record in records]).mean()
  assert 'Fill rate: {:.1%}'.format(used) in text
  assert '<td>Training records</td><td class="n">{:,}</td>'.format(len(records)) in text
  masks = np.concatenate([record['input_ids'][record['masked_lm_positions'][record['masked_lm_weights'] > 0]]
                          for record in records]) == 5
  assert '<td>[MASK] instead</td><td class="n">{:.2%}</td>'.format(masks.mean()) in text
  titles = re.findall('<title>([\\dk+]+): ([\\d,]+) ', text)
  assert sum(int(count.replace(',', '')) for _, count in titles[:32]) == len(records)
  assert sum(int(count.replace(',', '')) for _, count in titles[32:48]) == info.statistics['documents']
  assert '<span>慢 U+6162 ' in text and 'http' not in text and '<b>' not in text and 'src=' not in text


def test_words_instead_of_keys(tmp_path):
  paths = small_corpus.write(tmp_path, small_corpus.text(40) + '\n我\n')
  data_set.create(small_corpus.settings(paths[1]), [paths[0]], str(tmp_path / 'd'))
  text = (tmp_path / 'd' / 'data_report.html').read_text(encoding='utf-8')
  assert '<td>documents of fewer than two words</td><td class="n">1</td>' in text
  assert '<td>a document is</td><td class="n">blank line</td>' in text
  assert not re.findall('<td>[a-z]+_[a-z_]+</td>', text), 'raw keys'
  assert 'lines in another encoding or format' not in text, 'only what there is'
  shown = report._settings({'text_field': 'paper_title', 'documents': 'blank_line'})
  assert 'paper_title' in shown and 'blank' not in shown, 'an object is a document'


def test_examples_are_those_of_inspect_records(tmp_path):
  paths = small_corpus.write(tmp_path)
  info = data_set.create(small_corpus.settings(paths[1]), [paths[0]], str(tmp_path / 'd')).info
  text = (tmp_path / 'd' / 'data_report.html').read_text(encoding='utf-8')
  vocabulary = tokenization.Vocabulary.load(info.vocab_file)
  record = next(tfrecord.read_records(info.paths('train')[0]))
  line = readable.describe(example_writer.parse_example(record), vocabulary).split('\n')[1]
  assert '<br>' + line.replace('【', '<mark>【').replace('】', '】</mark>') in text
  assert text.count('class="example"') == 4 and '<mark>【' in text


@pytest.mark.parametrize('changes, words', [
    (dict(max_seq_length=512, max_predictions_per_seq=51), 'InputOptions.packing=True'),
    (dict(max_predictions_per_seq=2), 'Raise --max_predictions_per_seq to 4.'),
    (dict(), 'Held-out documents: 2. So few')])
def test_hints(tmp_path, changes, words):
  paths = small_corpus.write(tmp_path, small_corpus.text(40))
  info = data_set.create(small_corpus.settings(paths[1], **changes), [paths[0]], str(tmp_path / 'd')).info
  assert words in ' '.join(report.hints(info))
  assert words in (tmp_path / 'd' / 'data_report.html').read_text(encoding='utf-8').replace('&quot;', '"')


def test_no_hint_without_a_reason(tmp_path):
  text = '\n\n'.join('\n'.join(document) for document in small_corpus.documents(700, 3)).replace('慢', '很')
  paths = small_corpus.write(tmp_path, text, small_corpus.vocabulary_tokens() + ['很'])
  info = data_set.create(small_corpus.settings(paths[1], dupe_factor=1), [paths[0]], str(tmp_path / 'd')).info
  assert [hint for hint in report.hints(info) if 'repeat' not in hint and 'earlier one' not in hint] == []


def test_compact_records_have_no_masks_yet(tmp_path):
  paths = small_corpus.write(tmp_path)
  data_set.create(small_corpus.settings(paths[1], record_format='compact'), [paths[0]], str(tmp_path / 'd'))
  assert 'masked while they are read' in (tmp_path / 'd' / 'data_report.html').read_text(encoding='utf-8')


def test_bars_are_to_scale():
  chart = ElementTree.fromstring(report.bars(['a', '<'], [1, 4]))
  heights = [float(bar.get('height')) for bar in chart.iter('rect')]
  assert heights[1] == 4 * heights[0] > 0
  assert [bar.find('title').text for bar in chart.iter('rect')] == ['a: 1 (20.0%)', '<: 4 (80.0%)']
  ElementTree.fromstring(report.bars(['a'], [0]))
