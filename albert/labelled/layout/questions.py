"""Questions on texts: CMRC 2018, SQuAD and what follows them, or an object per question; where the answers stand."""

import unicodedata

from albert.labelled.example import Reading


def questions(value, labelled=True):
  """Yields (id, question, context, Reading or None) of one JSON value, which may hold many. Raises ValueError.

  labelled: whether answers are read; if not all are None.
  """
  if not isinstance(value, dict):
    raise ValueError('expected a JSON object, found {!r:.40}'.format(value))
  if isinstance(value.get('paragraphs'), list):
    for paragraph in value['paragraphs']:
      yield from questions(paragraph, labelled)
    return
  context = _text(value, 'context_text', 'context')
  entries = value.get('qas', value.get('questions'))
  if not isinstance(entries, (list, type(None))):
    raise ValueError('expected a list of questions, found {!r:.40}'.format(entries))
  for entry in [value] if entries is None else entries:
    question = _text(entry, 'query_text', 'question', 'query')
    yield entry.get('query_id', entry.get('id')), question, context, (
        _reading(entry, context) if labelled else None)


def _text(value, *names):
  for name in names:
    if isinstance(value, dict) and isinstance(value.get(name), str):
      return value[name]
  raise ValueError('expected the text "{}", found {}'.format(
      '" or "'.join(names), ', '.join(value) if isinstance(value, dict) else '{!r:.40}'.format(value)))


def _reading(entry, context):
  """The `Reading` of a question; None if it has no answers and does not say that it cannot be answered."""
  answers = entry.get('answers', entry.get('answer'))
  if entry.get('is_impossible') is True:
    return Reading((), None, True, False)
  if isinstance(answers, dict) and all(isinstance(answers.get(name), list) for name in ('text', 'answer_start')):
    answers = [{'text': text, 'answer_start': start} for text, start in zip(answers['text'], answers['answer_start'])]
  if not isinstance(answers, list):
    answers = [] if answers is None else [answers]
  given = [(_answer(answer.get('text')), answer.get('answer_start')) if isinstance(answer, dict)
           else (_answer(answer), None) for answer in answers]
  if not given:
    return None
  places = [(locate(context, text, start), start) for text, start in given]
  span, start = next((place for place in places if place[0]), (None, None))
  return Reading(tuple(text for text, _ in given), span, False, bool(span) and start not in (None, span[0]))


def _answer(value):
  """27 questions of CMRC 2018 have an answer that is a number."""
  if isinstance(value, bool) or not isinstance(value, (str, int)):
    raise ValueError('expected an answer, found {!r:.40}'.format(value))
  return str(value)


def locate(context, answer, start=None):
  """Where an answer stands in a context: (start, end), or None.

  Of several places it is the one nearest to `start`, where the file says it stands (200 of 9,657 are wrong in CMRC
  2018), or the first. Where the answer is not there as it is written, white space, case and the width of characters
  do not count.
  """
  hint = start if isinstance(start, int) and not isinstance(start, bool) else 0
  answer = answer.strip()
  if not answer:
    return None
  place = _nearest(context, answer, hint)
  if place is not None:
    return place, place + len(answer)
  text, origins = _plain(context)
  wanted, _ = _plain(answer)
  place = _nearest(text, wanted, sum(origin < hint for origin in origins)) if wanted else None
  return None if place is None else (origins[place], origins[place + len(wanted) - 1] + 1)


def occurrences(context, answer):
  """How often an answer stands in a context, as it is written."""
  return sum(1 for _ in _places(context, answer)) if answer else 0


def _nearest(text, wanted, hint):
  if text.startswith(wanted, hint) and hint >= 0:
    return hint
  return min(_places(text, wanted), key=lambda place: abs(place - hint), default=None)


def _places(text, wanted):
  place = text.find(wanted)
  while place >= 0:
    yield place
    place = text.find(wanted, place + 1)


def _plain(text):
  """The text in lower case, of normal width, without white space, and the place of each of its characters."""
  characters = [(char, place) for place, raw in enumerate(text)
                for char in unicodedata.normalize('NFKC', raw).lower() if not char.isspace()]
  return ''.join(char for char, _ in characters), [place for _, place in characters]
