"""Logits of windows to answers in characters of the raw text."""

import collections
import math

import numpy as np

from albert.labelled import tag_schemes

Answer = collections.namedtuple('Answer', ['text', 'start', 'end', 'score'])
Answer.__doc__ = """Characters [start, end) of a context, which are `text`, and its probability among the candidates.

No answer: text '', start and end -1.
"""
NO_ANSWER = ('', -1, -1)

# Spans whose scores make the probabilities.
_CANDIDATES = 20


def entities(windows, logits, labels, example, transitions=None, first=None, last=None):
  """The entities of a text: list of `example.Entity`, in order. No sequence of tags leaves the scheme.

  Args:
    windows: list of Window, all of an example, in order.
    logits: for each window a float array of shape [n or more, C].
    labels: Labels of kind `tag`, C names.
    example: Example.
    transitions: float array of shape [C, C], trained scores of a tag (row) before another (column); None: all 0. What
      the scheme forbids is forbidden besides.
    first, last: float arrays of shape [C], trained scores of a tag at the begin and at the end; None: 0.
  """
  places = _farthest_from_borders(windows)
  if not places:
    return []
  scores = np.stack([np.asarray(logits[window][token], np.float64) for window, token in places])
  allowed = [np.where(never, -np.inf, 0. if trained is None else trained)
             for never, trained in zip(labels.forbidden, (transitions, first, last))]
  path = tag_schemes.best_path(scores, *allowed)
  starts = [windows[window].starts[token] for window, token in places]
  ends = [windows[window].ends[token] for window, token in places]
  return tag_schemes.entities_of([labels.names[tag] for tag in path], starts, ends, example.text_a)


def _farthest_from_borders(windows):
  """Where each scored token is best seen: list of (window, token), in order of the text.

  That is the window in which it is farthest from a border. The ends of the text are none, but need no exception: what
  is near to them is seen by one window only, or nearer to the border of the other one.
  """
  best = {}
  for number, window in enumerate(windows):
    tokens = [token for token, start in enumerate(window.starts) if start >= 0]
    for token in tokens:
      # [CLS] and [SEP] stand around the tokens of the text.
      distance, start = min(token - 1, len(window.starts) - 2 - token), window.starts[token]
      if start not in best or distance > best[start][0]:
        best[start] = (distance, number, token)
  return [best[start][1:] for start in sorted(best)]


def best_answers(windows, start_logits, end_logits, example, n_best, max_answer_length, unanswerable=False):
  """The best spans over all windows: list of at most n_best `Answer`, best first, at least one.

  Args:
    windows: list of Window, all of an example.
    start_logits, end_logits: for each window a float array of shape [n or more].
    example: Example.
    n_best: int.
    max_answer_length: tokens.
    unanswerable: whether "no answer" is among the candidates. Its score is that of [CLS] in the window in which it is
      lowest: no window may hold an answer.
  """
  keep = max(n_best, _CANDIDATES)
  scores = {}
  for window, start_row, end_row in zip(windows, start_logits, end_logits):
    for start, end, score in _best_spans(window, np.asarray(start_row), np.asarray(end_row), keep, max_answer_length):
      place = (example.text_b[start:end], start, end)
      scores[place] = max(score, scores.get(place, -math.inf))
  if unanswerable:
    scores[NO_ANSWER] = min(float(start[0]) + float(end[0]) for start, end in zip(start_logits, end_logits))
  # Of equal scores the first place in the text.
  ranked = sorted(scores.items(), key=lambda item: (-item[1], item[0][1:]))[:keep]
  if not ranked:
    return [Answer(*NO_ANSWER, score=1.)]
  weights = [math.exp(score - ranked[0][1]) for _, score in ranked]
  return [Answer(*place, score=weight / sum(weights)) for (place, _), weight in zip(ranked, weights)][:n_best]


def _best_spans(window, start_row, end_row, count, max_answer_length):
  """Yields (start, end, score) of the best spans of a window, in characters, none longer than max_answer_length."""
  tokens = [token for token, start in enumerate(window.starts) if start >= 0]
  if not tokens:
    return
  # The tokens of the context follow one another.
  begin, size = tokens[0], len(tokens)
  starts, ends = (row[begin:begin + size].astype(np.float64) for row in (start_row, end_row))
  longest = min(max_answer_length, size)
  # Row l: spans of l + 1 tokens.
  sums = np.full((longest, size), -np.inf)
  for length in range(longest):
    sums[length, :size - length] = starts[:size - length] + ends[length:]
  flat = sums.ravel()
  best = np.argpartition(-flat, min(count, flat.size - 1))[:count] if flat.size > count else np.arange(flat.size)
  for place in best[np.isfinite(flat[best])].tolist():
    length, first = divmod(place, size)
    start, end = window.starts[begin + first], window.ends[begin + first + length]
    if start < end:
      yield start, end, float(flat[place])
