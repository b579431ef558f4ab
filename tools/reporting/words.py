"""Pieces of HTML, and numbers in words."""

import html

from albert.common.perplexity import in_words

PERCENT = '{:.1%}'.format


def escape(value):
  """Text for HTML."""
  return html.escape(str(value))


def table(rows):
  """Rows of a name and a value as HTML; empty without rows. Whole numbers get commas."""
  lines = ['<tr><th>{}</th><td>{}</td></tr>'.format(escape(name), escape(
      '{:,}'.format(value) if type(value) is int else value)) for name, value in rows if value is not None]
  return '<table>{}</table>'.format(''.join(lines)) if lines else ''


def paragraphs(texts, kind='p'):
  """Texts as paragraphs, or other elements."""
  return ''.join('<{0}>{1}</{0}>'.format(kind, escape(text)) for text in texts)


def section(title, content):
  """A part of the page, nothing where there is no content."""
  return '<section><h2>{}</h2>{}</section>'.format(escape(title), content) if content else ''


def tiles(values):
  """A row of figures. values: list of (figure, what it is, remark)."""
  return '<div class="tiles">{}</div>'.format(''.join(
      '<div><b>{}</b><span>{}</span><small>{}</small></div>'.format(*map(escape, value)) for value in values))


def perplexity(loss):
  """exp(loss) in words, without a decimal where that says nothing."""
  return in_words(loss, 0 if loss >= 5 else 1)


def bytes_of(number):
  """A size in words."""
  for size, unit in ((1 << 30, 'GB'), (1 << 20, 'MB'), (1 << 10, 'KB')):
    if number >= size:
      return '{:,.1f} {}'.format(number / size, unit)
  return '{} bytes'.format(number)
