"""report.md: figures, classes, confusions and mistakes of a fine-tuned model, for people."""

import collections
import unicodedata

from albert.answers import outcome as outcomes
from albert.common.in_words import counted
from albert.run import names

_CONFUSIONS = 10
_MOST_CHARACTERS = 80


def write(about, outcome_of, labels, by_number, not_learned=None):
  """Text of report.md.

  Args:
    about: OrderedDict of what the run is, title to text.
    outcome_of: OrderedDict, 'dev' and perhaps 'test' to outcome.Outcome.
    labels: labelled.labels.Labels.
    by_number: whether pictures have numbers instead of names.
    not_learned: str, that nothing was learned, or None.
  """
  parts = ['# Fine-tuned: ' + about['task'], '']
  parts += ['**{}**'.format(not_learned), ''] if not_learned else []
  parts += ['- {}: {}'.format(*entry) for entry in about.items()] + ['']
  parts += figure_table(outcome_of) + ['']
  parts += ['![curves]({})'.format(names.CURVES_PICTURE), '']
  for split, outcome in outcome_of.items():
    if outcome.figures:
      parts += _classes(split, outcome) + _confusions(split, outcome)
  dev = outcome_of['dev']
  if dev.figures and 'confusion' in dev.figures:
    parts += ['![confusion]({})'.format(names.CONFUSION_PICTURE), '']
    if by_number:
      parts += ['The picture has numbers, for want of a font with the characters of the classes:', '']
      parts += ['{}. {}'.format(*entry) for entry in enumerate(labels.names, 1)] + ['']
  return '\n'.join(parts + _mistakes(dev)) + '\n'


def figure_table(outcome_of):
  """Lines of the table of figures."""
  scored = collections.OrderedDict((split, outcome) for split, outcome in outcome_of.items() if outcome.figures)
  shown = list(outcomes.numbers(scored['dev'].figures)) if 'dev' in scored else []
  table = [['split', 'examples'] + [name.replace('_', ' ') for name in shown]]
  for split, outcome in outcome_of.items():
    figures = outcome.figures or {}
    table.append([split, '{:,}'.format(outcome.examples)] + [_number(figures.get(name)) for name in shown])
  return markdown(table)


def markdown(rows):
  """Lines of a table, whose first row is its head. rows: list of lists of str."""
  shown = [[cell.replace('|', '\\|').replace('\n', ' ') for cell in row] for row in rows]
  return ['| {} |'.format(' | '.join(row)) for row in shown[:1] + [['---'] * len(shown[0])] + shown[1:]]


def _number(value):
  return '-' if value is None else '{:.4f}'.format(value) if abs(value) < 10 else '{:.2f}'.format(value)


def class_table(figures):
  """Rows of the table of classes, or of types of entities; empty where there are none."""
  classes = figures.get('classes') or figures.get('types') or {}
  rows = [['class', 'precision', 'recall', 'F1', 'support']]
  rows += [[name] + ['{:.3f}'.format(entry[key]) for key in ('precision', 'recall', 'f1')]
           + ['{:,}'.format(entry['support'])] for name, entry in classes.items()]
  return rows if classes else []


def split_lines(title, figures, count):
  """Lines to print: the figures of `count` labelled examples, then the classes. figures: dict."""
  shown = ['{} {:.4f}'.format(name.replace('_', ' '), value) for name, value in figures.items()
           if isinstance(value, float)]
  lines = ['{:<5} {}  ({})'.format(title, '  '.join(shown), counted(count, 'example'))] if shown else []
  rows = class_table(figures)
  if not rows:
    return lines
  width = max(_width(row[0]) for row in rows)
  return lines + ['  {}{}  {:>9}  {:>6}  {:>5}  {:>7}'.format(row[0], ' ' * (width - _width(row[0])), *row[1:])
                  for row in rows]


def _width(text):
  """Columns of a terminal: a Han character takes two."""
  return sum(1 + (unicodedata.east_asian_width(char) in 'WF') for char in text)


def _classes(split, outcome):
  rows = class_table(outcome.figures)
  return ['## {}: classes'.format(split), ''] + markdown(rows) + [''] if rows else []


def _confusions(split, outcome):
  confusion, classes = outcome.figures.get('confusion'), list(outcome.figures.get('classes', ()))
  if not confusion:
    return []
  pairs = sorted(((-count, true, taken) for true, row in enumerate(confusion)
                  for taken, count in enumerate(row) if count and true != taken))[:_CONFUSIONS]
  rows = [['label', 'predicted', 'times', 'of the label']] + [
      [classes[true], classes[taken], '{:,}'.format(-count), '{:.1%}'.format(-count / sum(confusion[true]))]
      for count, true, taken in pairs]
  return ['## {}: worst confusions'.format(split), ''] + (markdown(rows) if pairs else ['None.']) + ['']


def _mistakes(outcome):
  if not outcome.mistakes:
    return []
  if 'value' in outcome.mistakes[0].said:
    title, measure = 'largest errors', 'error'
  elif outcome.mistakes[0].probability is None:
    title, measure = 'wrong answers, the first ones', None
  else:
    title, measure = 'wrong answers, the most probable first', 'probability'
  rows = [['line', 'text', 'label', 'predicted'] + ([measure] if measure else [])]
  for mistake in outcome.mistakes:
    example = mistake.example
    text = example.text_a if example.text_b is None else '{} ／ {}'.format(example.text_a, example.text_b)
    rows.append([str(example.line), _short(text), _short(_said_gold(example)), _short(_said(mistake.said))]
                + (['{:.3f}'.format(mistake.probability)] if measure else []))
  return ['## dev: ' + title, ''] + markdown(rows)


def _said_gold(example):
  label = example.label
  if hasattr(label, 'answers'):
    return ' / '.join(label.answers) or '(no answer)'
  if isinstance(label, tuple):
    return _entities([(entry.type, entry.text) if hasattr(entry, 'start') else (None, entry) for entry in label])
  return str(label)


def _said(said):
  if 'entities' in said:
    return _entities([(entity['type'], entity['text']) for entity in said['entities']])
  value = next(said[name] for name in ('label', 'labels', 'answer', 'value') if name in said)
  return ', '.join(value) if isinstance(value, list) else str(value)


def _entities(entries):
  return ', '.join(text if kind is None else '{} {}'.format(kind, text) for kind, text in entries) or '(none)'


def _short(text):
  return text if len(text) <= _MOST_CHARACTERS else text[:_MOST_CHARACTERS - 1] + '…'
