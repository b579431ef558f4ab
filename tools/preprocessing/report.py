"""data_report.html: describes a data set, with histograms and examples. One file that loads nothing from elsewhere."""

import html
import itertools
import re

from albert.dataset import contract
from albert.dataset import example_writer
from albert.dataset import record_format
from albert.dataset import tfrecord
from tools.preprocessing import readable

_STYLE = """body{font:15px/1.5 system-ui,"PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;
max-width:56em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse}td,th{padding:.1em 1.2em .1em 0;text-align:left;vertical-align:top}
td{overflow-wrap:anywhere}td:first-child{white-space:nowrap}td.n{text-align:right}
h2{margin-top:1.6em}rect{fill:#4a7db5}text{font:11px sans-serif;fill:#444}
mark{background:#ffe9a8}.example{border-left:3px solid #ccc;padding-left:1em;margin:1em 0}
.unknown span{margin-right:1.2em;white-space:nowrap}small{color:#777}"""
_BAR_WIDTH, _WIDE_BAR, _HEIGHT = 22, 32, 140
_EXAMPLES = 3
_FIGURE = re.compile('[0-9][0-9,.]*%?')

# What is worth a hint: records that are filled less, masked less than asked for, fewer held-out documents.
_LOW_FILL, _LOW_MASKING, _FEW_HELDOUT, _MANY_UNKNOWN = 0.7, 0.9, 30, 0.01

_LEFT_OUT = (
    ('documents_too_short', 'documents of fewer than two words'),
    ('tokens_too_short', 'tokens of these'),
    ('documents_few_characters', 'documents of too few characters'),
    ('documents_little_Han_text', 'documents with too little Han text'),
    ('duplicate_documents', 'documents equal to an earlier one'),
    ('near_duplicate_documents', 'documents similar to an earlier one'),
    ('skipped_lines', 'lines in another encoding or format'),
    ('skipped_chunks', 'single words, at the end of a document or longer than a record'),
    ('train_unused_tokens', 'training tokens in no record, all ways together'),
    ('heldout_unused_tokens', 'held-out tokens in no record, all ways together'),
    ('divided_sentences', 'places where a sentence did not fit into the rest of a record, and was divided'),
    ('divided_documents', 'places where a document was too long, and divided'),
    ('divided_lines', 'lines of more than 1 MB, divided'),
    ('repeated_documents', 'documents with the text of an earlier one, kept'),
    ('replaced_surrogates', 'halves of surrogate pairs, replaced'),
    ('normalized_sentences', 'sentences changed by normalization'),
    ('control_characters', 'control characters dropped'),
    ('split_sentences', 'sentences more, by splitting'))
_SETTINGS = (
    ('max_seq_length', 'tokens of a record, S'), ('max_predictions_per_seq', 'room for masked tokens, P'),
    ('masked_lm_prob', 'share of the tokens to mask'), ('do_whole_word_mask', 'words are masked as a whole'),
    ('max_ngram', 'most words masked in a row'), ('dupe_factor', 'ways to cut and mask a training document'),
    ('heldout_dupe_factor', 'ways to cut and mask a held-out document'),
    ('heldout_fraction', 'share of the texts that is held out'),
    ('short_seq_prob', 'share of the documents cut into short records'), ('segmenter', 'segmenter'),
    ('do_lower_case', 'lower case, no accents'), ('encoding', 'encoding of the text'),
    ('skip_errors', 'lines in another encoding are left out'), ('documents', 'what divides plain text into documents'),
    ('text_field', 'fields of the JSON objects'), ('normalization', 'normalization'),
    ('drop_control_characters', 'control characters are dropped'), ('split_sentences', 'sentences are split'),
    ('min_characters', 'fewest characters of a document'), ('min_han_share', 'smallest share of Han characters'),
    ('duplicates', 'duplicates'), ('near_duplicate_threshold', 'similarity of near duplicates'),
    ('record_format', 'format of the training records'), ('records_per_shard', 'records of a file'),
    ('random_seed', 'random seed'), ('vocab_sha256', 'SHA-256 of the vocabulary'), ('recipe', 'version of the recipe'))


def make(info, histograms, vocabulary):
  """The report as HTML: str.

  Args:
    info: contract.DatasetInfo; its shards are there to be read.
    histograms: {'lengths': records by the number of tokens, in equal steps up to S; 'document_lengths': documents of 1,
      2-3, 4-7, ... tokens, the last is for longer ones; 'word_lengths': words by their tokens, from 1, the last is for
      longer ones; 'masked_as': masked tokens that became [MASK], another token, or stayed; 'unknown': [(text, count)]}.
    vocabulary: tokenization.Vocabulary.
  """
  step = info.max_seq_length / len(histograms['lengths'])
  steps = ['{:.0f}'.format(step * (number + 1)) for number in range(len(histograms['lengths']))]
  sizes = [str(number + 1) for number in range(len(histograms['word_lengths']))]
  sizes[-1] += '+'
  powers = [_short(2 << number) for number in range(len(histograms['document_lengths']))]
  powers[-1] = _short(1 << len(powers) - 1) + '+'
  return '\n'.join([
      '<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8"><title>Data report</title>',
      '<style>{}</style></head><body>'.format(_STYLE), '<h1>Data report</h1>', _table(overview(info)), _hints(info),
      '<h2>Tokens of a training record</h2>',
      '<p>Fill rate: {:.1%} of the positions; {:.1%} hold text, {:.1%} [CLS] or [SEP], the rest is padding.</p>'.format(
          _fill_rate(info), text_rate(info), _fill_rate(info) - text_rate(info)),
      bars(steps, histograms['lengths']), '<h2>Tokens of a document, below ...</h2>',
      bars(powers, histograms['document_lengths']), '<h2>Masks</h2>', _masks(info, histograms['masked_as']),
      '<h2>Tokens of a word</h2>', bars(sizes, histograms['word_lengths']), '<h2>Examples</h2>',
      _examples(info, vocabulary), '<h2>Unknown</h2>', _unknown(info.statistics, histograms['unknown']),
      '<h2>Left out or changed</h2>', _left_out(info.statistics), '<h2>Settings</h2>', _settings(info.settings),
      '</body></html>', ''])


def overview(info):
  """The main figures, a list of (what, figure). info: contract.DatasetInfo."""
  counts = info.statistics
  inputs = [entry['file'] for entry in info.settings['inputs']]
  return [
      ('Text', ', '.join(inputs[:10] + ['and {:,} more'.format(len(inputs) - 10)] * (len(inputs) > 10))),
      ('Training records', info.records(contract.TRAIN)), ('Held-out records', info.records(contract.HELDOUT)),
      ('Documents', counts['documents']), ('of these held out', counts['heldout_documents']),
      ('Sentences', counts['sentences']), ('Words', counts['words']), ('Tokens', counts['tokens']),
      ('Training tokens that are in a record', '{:.2%}'.format(1 - counts['train_unused_tokens'] / max(
          1, info.settings['dupe_factor'] * counts['train_document_tokens'])))]


def text_rate(info):
  """The share of the positions of training records that hold text. info: contract.DatasetInfo."""
  return info.statistics['train_tokens'] / max(1, info.records(contract.TRAIN) * info.max_seq_length)


def _fill_rate(info):
  """With [CLS] and twice [SEP]."""
  records = info.records(contract.TRAIN)
  return (info.statistics['train_tokens'] + 3 * records) / max(1, records * info.max_seq_length)


def hints_of_shape(info):
  """What other settings would make of the same text: list of str. info: contract.DatasetInfo."""
  counts, settings = info.statistics, info.settings
  lines = []
  records, rows = info.records(contract.TRAIN), [shard.packed_rows for shard in info.shards[contract.TRAIN]]
  if _fill_rate(info) < _LOW_FILL and None not in rows and sum(rows) < _LOW_FILL * records:
    lines.append('{:.0%} of the positions hold text. With packing (SET="InputOptions.packing=True") the {:,} records '
                 'are {:,} rows.'.format(text_rate(info), records, sum(rows)))
  masked = counts['train_masked_tokens'] / max(1, counts['train_tokens'])
  if info.record_format == record_format.REFERENCE and masked < _LOW_MASKING * settings['masked_lm_prob']:
    lines.append('{:.1%} of the tokens are masked instead of {:.1%}: there is room for {} in a record. Raise '
                 '--max_predictions_per_seq to {}.'.format(masked, settings['masked_lm_prob'],
                                                           info.max_predictions_per_seq, _room(info)))
  return lines


def hints(info):
  """What somebody who knows the tool would say of the figures: list of str. info: contract.DatasetInfo."""
  counts, settings = info.statistics, info.settings
  lines = hints_of_shape(info)
  if counts['unknown_tokens'] > _MANY_UNKNOWN * counts['tokens']:
    lines.append('{:.2%} of the tokens are [UNK]. A vocabulary built from this text has them.'.format(
        counts['unknown_tokens'] / counts['tokens']))
  if counts['repeated_documents'] and settings['duplicates'] == 'keep':
    lines.append('{:,} of {:,} documents have the text of an earlier one. --duplicates=exact leaves equal ones '
                 'out.'.format(counts['repeated_documents'], counts['documents']))
  if counts['heldout_documents'] < _FEW_HELDOUT:
    lines.append('Held-out documents: {:,}. So few make the held-out figures vary from one data set to the '
                 'next.'.format(counts['heldout_documents']))
  return lines


def _room(info):
  return int(info.max_seq_length * info.settings['masked_lm_prob'])


def _hints(info):
  lines = hints(info)
  return '<h2>Hints</h2><ul>{}</ul>'.format(''.join('<li>{}</li>'.format(html.escape(hint)) for hint in lines)
                                            ) if lines else ''


def _masks(info, masked_as):
  total = sum(masked_as)
  if not total:
    return '<p>Training records are masked while they are read.</p>'
  rows = [('Masked tokens', total), ('share of the text', '{:.2%}'.format(total / info.statistics['train_tokens'])),
          ('masked tokens of a record', '{:.1f}'.format(total / info.records(contract.TRAIN)))]
  for name, count in zip(('[MASK] instead', 'another token instead', 'left as they are'), masked_as):
    rows.append((name, '{:.2%}'.format(count / total)))
  return _table(rows)


def _examples(info, vocabulary):
  """The first records of both splits, as tools.inspect_records prints them."""
  parts = ['<p><small>{}</small></p>'.format(html.escape(readable.LEGEND))]
  for split, name, count in ((contract.TRAIN, 'training', _EXAMPLES), (contract.HELDOUT, 'held out', 1)):
    records = itertools.chain.from_iterable(map(tfrecord.read_records, info.paths(split)))
    for number, record in enumerate(itertools.islice(records, count)):
      place = '{} record {}'.format(name, number)
      lines = readable.describe(example_writer.parse_example(record, place), vocabulary, place).split('\n')
      parts.append('<div lang="zh-CN" class="example"><small>{}: {}</small>{}</div>'.format(
          place, html.escape(lines[0]), ''.join('<br>' + _marked(line) for line in lines[1:3])))
  return '\n'.join(parts)


def _marked(line):
  return re.sub('(【[^】]*】)', r'<mark>\1</mark>', html.escape(line))


def _unknown(counts, unknown):
  most = '' if not unknown else '<p lang="zh-CN" class="unknown">Most often: {}{}</p>'.format(
      ''.join('<span>{} {:,}</span> '.format(html.escape('{} {}'.format(text, _points(text)).strip()), count)
              for text, count in unknown),
      ' <small>(counted before duplicates were left out)</small>' if counts['duplicate_documents']
      or counts['near_duplicate_documents'] else '')
  return '<p>{:,} of {:,} tokens ({:.3%}) are [UNK].</p>{}'.format(
      counts['unknown_tokens'], counts['tokens'], counts['unknown_tokens'] / max(1, counts['tokens']), most)


def _left_out(counts):
  rows = [(words, counts.get(name, 0)) for name, words in _LEFT_OUT if counts.get(name)]
  return _table(rows) if rows else '<p>Nothing.</p>'


def _settings(settings):
  words = dict(_SETTINGS)
  names = [name for name, _ in _SETTINGS if name in settings and not (
      name == 'documents' and settings['text_field'])]
  names += [name for name in settings if name not in words and name != 'inputs']
  return _table([(words.get(name, name.replace('_', ' ')), _value(name, settings[name])) for name in names])


def _value(name, value):
  if isinstance(value, bool):
    return 'yes' if value else 'no'
  if name == 'documents':
    return value.replace('_', ' ')
  return '-' if value == '' else str(value)


def _short(number):
  return '{}k'.format(number >> 10) if number >= 1024 else str(number)


def _points(text):
  return '' if len(text) > 1 else 'U+{:04X}'.format(ord(text))


def _table(rows):
  """Rows of two cells as HTML."""
  texts = ['{:,}'.format(value) if type(value) is int else str(value) for _, value in rows]
  # To the right where all are figures: beside a long text they would stand far away from their names.
  place = ' class="n"' if all(map(_FIGURE.fullmatch, texts)) else ''
  lines = ['<tr><td>{}</td><td{}>{}</td></tr>'.format(html.escape(str(name)), place, html.escape(text))
           for (name, _), text in zip(rows, texts)]
  return '<table>{}</table>'.format(''.join(lines))


def bars(labels, values):
  """A bar chart as SVG: str. labels: list of str; values: list of int."""
  largest = max(1, max(values))
  total = max(1, sum(values))
  parts = []
  # Few bars are wide, so that the labels do not touch; of many every second has one.
  width = _WIDE_BAR if len(labels) <= 20 else _BAR_WIDTH
  for number, (label, value) in enumerate(zip(labels, values)):
    height = _HEIGHT * value / largest
    x = number * width
    parts.append('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}"><title>{}: {:,} ({:.1%})</title></rect>'.format(
        x, _HEIGHT - height, width - 3, height, html.escape(label), value, value / total))
    if len(labels) <= 20 or number % 2:
      parts.append('<text x="{}" y="{}" text-anchor="middle">{}</text>'.format(
          x + width / 2, _HEIGHT + 14, html.escape(label)))
  return '<svg width="{}" height="{}" role="img">{}</svg>'.format(
      len(labels) * width, _HEIGHT + 20, ''.join(parts))
