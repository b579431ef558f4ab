"""data_report.html: describes a data set, with histograms. One file that loads nothing from elsewhere."""

import html

from albert.dataset import contract

_STYLE = """body{font:15px/1.5 sans-serif;max-width:56em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse}td,th{padding:.1em 1.2em .1em 0;text-align:left;vertical-align:top}
td.n{text-align:right}h2{margin-top:1.6em}rect{fill:#4a7db5}text{font:11px sans-serif;fill:#444}"""
_BAR_WIDTH, _HEIGHT = 22, 140


def make(info, histograms):
  """The report as HTML: str.

  Args:
    info: contract.DatasetInfo.
    histograms: {'lengths': records by the number of tokens, in equal steps up to S; 'word_lengths': words by their
      tokens, from 1, the last is for longer ones; 'masked_as': masked tokens that became [MASK], another token, or
      stayed; 'unknown': [(text, count)]}.
  """
  counts = info.statistics
  records = info.records(contract.TRAIN)
  step = info.max_seq_length / len(histograms['lengths'])
  steps = ['{:.0f}'.format(step * (number + 1)) for number in range(len(histograms['lengths']))]
  sizes = [str(number + 1) for number in range(len(histograms['word_lengths']))]
  sizes[-1] += '+'
  fill_rate = (counts['train_tokens'] + 3 * records) / max(1, records * info.max_seq_length)
  return '\n'.join([
      '<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8"><title>Data report</title>',
      '<style>{}</style></head><body>'.format(_STYLE), '<h1>Data report</h1>',
      _table([('Text', ', '.join(entry['file'] for entry in info.settings['inputs'])),
              ('Training records', records), ('Held-out records', info.records(contract.HELDOUT)),
              ('Record format', info.record_format),
              ('Documents', counts['documents']), ('of these held out', counts['heldout_documents']),
              ('Sentences', counts['sentences']), ('Words', counts['words']), ('Tokens', counts['tokens'])]),
      '<h2>Tokens of a training record</h2>',
      '<p>Fill rate: {:.1%} of the positions hold a token, the rest is padding.</p>'.format(fill_rate),
      bars(steps, histograms['lengths']), '<h2>Masks</h2>', _masks(info, histograms['masked_as']),
      '<h2>Tokens of a word</h2>', bars(sizes, histograms['word_lengths']), '<h2>Unknown</h2>',
      '<p>{:,} of {:,} tokens ({:.3%}) are [UNK].{}</p>'.format(
          counts['unknown_tokens'], counts['tokens'], counts['unknown_tokens'] / max(1, counts['tokens']),
          ' The most frequent ones:' if histograms['unknown'] else ''),
      _table([('{} {}'.format(text, _points(text)), count) for text, count in histograms['unknown']]),
      '<h2>Left out or changed</h2>', _table(_left_out(counts)),
      '<h2>Settings</h2>', _table([(name, value) for name, value in info.settings.items() if name != 'inputs']),
      '</body></html>', ''])


def _masks(info, masked_as):
  total = sum(masked_as)
  if not total:
    return '<p>Training records are masked while they are read.</p>'
  rows = [('Masked tokens', total), ('share of the text', '{:.2%}'.format(total / info.statistics['train_tokens'])),
          ('masked tokens of a record', '{:.1f}'.format(total / info.records(contract.TRAIN)))]
  for name, count in zip(('[MASK] instead', 'another token instead', 'left as they are'), masked_as):
    rows.append((name, '{:.2%}'.format(count / total)))
  return _table(rows)


def _left_out(counts):
  names = ('documents_too_short', 'documents_few_characters', 'documents_little_Han_text', 'duplicate_documents',
           'near_duplicate_documents', 'skipped_lines', 'skipped_chunks', 'divided_documents', 'divided_lines',
           'normalized_sentences', 'control_characters', 'split_sentences')
  return [(name.replace('_', ' '), counts.get(name, 0)) for name in names]


def _points(text):
  return '' if len(text) > 1 else 'U+{:04X}'.format(ord(text))


def _table(rows):
  """Rows of two cells as HTML."""
  lines = ['<tr><td>{}</td><td class="n">{}</td></tr>'.format(
      html.escape(str(name)), html.escape('{:,}'.format(value) if type(value) is int else str(value)))
      for name, value in rows]
  return '<table>{}</table>'.format(''.join(lines))


def bars(labels, values):
  """A bar chart as SVG: str. labels: list of str; values: list of int."""
  largest = max(1, max(values))
  total = max(1, sum(values))
  parts = []
  for number, (label, value) in enumerate(zip(labels, values)):
    height = _HEIGHT * value / largest
    x = number * _BAR_WIDTH
    parts.append('<rect x="{}" y="{:.1f}" width="{}" height="{:.1f}"><title>{}: {:,} ({:.1%})</title></rect>'.format(
        x, _HEIGHT - height, _BAR_WIDTH - 3, height, html.escape(label), value, value / total))
    # Every second label where they are many, so that they do not touch.
    if len(labels) <= 20 or number % 2:
      parts.append('<text x="{}" y="{}" text-anchor="middle">{}</text>'.format(
          x + _BAR_WIDTH / 2, _HEIGHT + 14, html.escape(label)))
  return '<svg width="{}" height="{}" role="img">{}</svg>'.format(
      len(labels) * _BAR_WIDTH, _HEIGHT + 20, ''.join(parts))
