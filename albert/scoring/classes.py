"""Figures of classification: of one class per example, and of any number of classes."""

import collections

import numpy as np


def single_label(gold, predicted, names):
  """Figures of one class per example.

  Args:
    gold, predicted: int sequences of length N, numbers of classes.
    names: list of C str.

  Returns:
    OrderedDict: accuracy, macro_f1 (the mean over the classes that occur, here or there), classes ({name: {precision,
    recall, f1, support}}), confusion (list of C lists of C int: of each true class, how often which was predicted).
    Rates are from 0 to 1; one whose denominator is 0 is 0.
  """
  count = len(names)
  pairs = np.asarray(gold, np.int64) * count + np.asarray(predicted, np.int64)
  confusion = np.bincount(pairs, minlength=count * count).reshape(count, count)
  hits, support, taken = np.diag(confusion), confusion.sum(1), confusion.sum(0)
  classes = _by_class(hits, support, taken, names)
  occurs = [entry['f1'] for entry, number in zip(classes.values(), support + taken) if number]
  return collections.OrderedDict([
      ('accuracy', _ratio(hits.sum(), confusion.sum())),
      ('macro_f1', float(np.mean(occurs)) if occurs else 0.),
      ('classes', classes),
      ('confusion', confusion.tolist())])


def multi_label(gold, predicted, names):
  """Figures of any number of classes per example.

  Args:
    gold, predicted: arrays of shape [N, C] of 0 and 1.
    names: list of C str.

  Returns:
    OrderedDict: micro_f1, macro_f1 (the mean over all C classes), subset_accuracy (all classes of an example right),
    classes as of single_label.
  """
  gold, predicted = (np.asarray(values).astype(bool).reshape(-1, len(names)) for values in (gold, predicted))
  hits, support, taken = (gold & predicted).sum(0), gold.sum(0), predicted.sum(0)
  classes = _by_class(hits, support, taken, names)
  return collections.OrderedDict([
      ('micro_f1', _ratio(2 * hits.sum(), support.sum() + taken.sum())),
      ('macro_f1', float(np.mean([entry['f1'] for entry in classes.values()])) if classes else 0.),
      ('subset_accuracy', float((gold == predicted).all(1).mean()) if len(gold) else 0.),
      ('classes', classes)])


def best_threshold(gold, probabilities):
  """The probability above which a class is predicted that gives the best micro-F1: one of 0.05, 0.10 ... 0.95.

  Of equally good ones it is the one nearest to 0.5. Arrays have shape [N, C].
  """
  gold, probabilities = np.asarray(gold).astype(bool), np.asarray(probabilities)
  thresholds = sorted((number / 20 for number in range(1, 20)), key=lambda value: abs(value - 0.5))
  return max(thresholds, key=lambda value: _micro_f1(gold, probabilities > value))


def _micro_f1(gold, predicted):
  return _ratio(2 * (gold & predicted).sum(), gold.sum() + predicted.sum())


def _by_class(hits, support, taken, names):
  return collections.OrderedDict((name, collections.OrderedDict([
      ('precision', _ratio(hit, predicted)), ('recall', _ratio(hit, there)),
      ('f1', _ratio(2 * hit, there + predicted)), ('support', int(there))]))
      for name, hit, there, predicted in zip(names, hits, support, taken))


def _ratio(part, whole):
  return float(part) / float(whole) if whole else 0.
