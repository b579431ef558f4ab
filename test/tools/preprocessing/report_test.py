"""tools.preprocessing.report: the figures of the records, in one file that needs nothing else."""

import re
from xml.etree import ElementTree

import numpy as np

from albert.dataset import tfrecord
from tools.preprocessing import data_set
from tools.preprocessing import example_writer
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
  titles = re.findall('<title>(\\d+): ([\\d,]+) ', text)
  assert sum(int(count.replace(',', '')) for _, count in titles[:32]) == len(records)
  assert '慢 U+6162' in text and '<td>documents too short</td>' in text
  assert 'http' not in text and '<b>' not in text and 'src=' not in text


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
