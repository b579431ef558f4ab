"""Full-width punctuation where programs read that of ASCII: what an input method for Chinese writes unasked."""

import re

_ASCII = {'，': ',', '、': ',', '；': ';', '：': ':', '＝': '=', '－': '-', '——': '--', '—': '--', '（': '(', '）': ')',
          '［': '[', '］': ']', '【': '[', '】': ']', '｛': '{', '｝': '}', '‘': "'", '’': "'", '“': '"', '”': '"',
          '．': '.',
          '。': '.', '\u3000': ' '}
# Of a list, whose items may have any other mark in them.
SEPARATORS = ('，', '、', '；')
_QUOTED = re.compile('\'[^\']*\'|"[^"]*"')


def advice(text, otherwise, marks=tuple(_ASCII)):
  """The remedy for a text that could not be read, in words.

  Args:
    text: str, as the user has written it.
    otherwise: str, the advice where no full-width mark stands outside quotes.
    marks: those that may be the reason.
  """
  bare = _QUOTED.sub('', text)
  found = [mark for mark in marks if mark in bare]
  if not found:
    return otherwise
  first = min(found, key=lambda mark: (bare.index(mark), -len(mark)))
  wanted = ',' if marks == SEPARATORS else _ASCII[first]
  return 'write {} instead of the full-width {}'.format(wanted if wanted.strip() else 'a blank', first)
