"""Words of a text as the Penn Treebank divides them, by the rules that NLTK's TreebankWordTokenizer has too.

Marks stand alone, with these exceptions: a comma or colon before a digit (1,000), and a full stop that does not end the
text (3.5). English contractions are cut: do n't, we 'll, can not.
"""

import re

# In this order. An opening quote becomes ``, a closing one ''.
_RULES = tuple((re.compile(pattern), replacement) for pattern, replacement in (
    # Opening quotes.
    (r'^"', '``'), (r'(``)', r' \1 '), (r'([ (\[{<])("|\'{2})', r'\1 `` '),
    # Marks.
    (r'([:,])([^\d])', r' \1 \2'), (r'([:,])$', r' \1 '), (r'\.\.\.', ' ... '), (r'[;@#$%&]', r' \g<0> '),
    (r'([^.])(\.)([\])}>"\']*)\s*$', r'\1 \2\3 '), (r'[?!]', r' \g<0> '), (r"([^'])' ", r"\1 ' "),
    (r'[\]\[(){}<>]', r' \g<0> '), (r'--', ' -- '), (r'\A|\Z', ' '),
    # Closing quotes and what is written together with a word.
    (r"''", " '' "), (r'"', " '' "), (r"([^' ])('[sS]|'[mM]|'[dD]|') ", r'\1 \2 '),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r'\1 \2 '),
    # Words that are two.
    (r"(?i)\b(can)(not)\b|\b(d)('ye)\b|\b(gim)(me)\b|\b(gon)(na)\b|\b(got)(ta)\b|\b(lem)(me)\b|\b(more)('n)\b|"
     r"\b(wan)(na)(?=\s)", lambda match: ' {} {} '.format(*filter(None, match.groups()))),
    (r"(?i) ('t)(is)\b", r' \1 \2 '), (r"(?i) ('t)(was)\b", r' \1 \2 '),
))


def words(text):
  """The words of a text: list of str."""
  for pattern, replacement in _RULES:
    text = pattern.sub(replacement, text)
  return text.split()
