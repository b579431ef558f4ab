"""albert.scoring.entities against seqeval 1.2.2, on random sequences of every scheme."""

import warnings

import numpy as np
import pytest
from seqeval import metrics
from seqeval import scheme as seqeval_schemes

from albert.labelled import tag_schemes
from albert.scoring import entities

TYPES = ['LOC', 'PER', 'ORG']
SEQEVAL = {'BIO': seqeval_schemes.IOB2, 'IOB1': seqeval_schemes.IOB1, 'BIOES': seqeval_schemes.IOBES,
           'BILOU': seqeval_schemes.BILOU}


def random_entities(random, length):
  """Entities in a text, some beside each other."""
  drawn, place = [], 0
  while place < length:
    if random.rand() < 0.4:
      end = min(length, place + 1 + random.randint(3))
      drawn.append((TYPES[random.randint(3)], place, end))
      place = end
    else:
      place += 1 + random.randint(3)
  return drawn


def tags_of(found, length, scheme):
  tags = ['O'] * length
  for kind, start, end in found:
    for place, letter in zip(range(start, end), tag_schemes.letters_of(scheme, end - start)):
      tags[place] = '{}-{}'.format(letter, kind)
  if scheme == 'IOB1':
    for place, tag in enumerate(tags):
      # B only directly behind another entity of the type.
      if tag[0] == 'B' and not (place and tags[place - 1][1:] == tag[1:]):
        tags[place] = 'I' + tag[1:]
  return tags


@pytest.mark.parametrize('scheme', ['BIO', 'IOB1', 'BIOES', 'BILOU'])
@pytest.mark.parametrize('seed', range(4))
def test_figures_are_seqevals(scheme, seed):
  random = np.random.RandomState(seed)
  lengths = [1 + random.randint(15) for _ in range(1 + 20 * seed)]
  gold = [random_entities(random, length) for length in lengths]
  predicted = [random_entities(random, length) if random.rand() < 0.4 else found
               for length, found in zip(lengths, gold)]
  true, found = ([tags_of(one, length, scheme) for one, length in zip(sequences, lengths)]
                 for sequences in (gold, predicted))
  figures = entities.score(gold, predicted, lengths)
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    report = metrics.classification_report(true, found, mode='strict', scheme=SEQEVAL[scheme], output_dict=True)
  average = report.pop('micro avg')
  assert list(figures)[0] == 'f1'
  assert figures['f1'] == pytest.approx(average['f1-score'])
  assert figures['precision'] == pytest.approx(average['precision'])
  assert figures['recall'] == pytest.approx(average['recall'])
  for name, entry in figures['types'].items():
    assert list(entry.values()) == pytest.approx(
        [report[name][key] for key in ('precision', 'recall', 'f1-score', 'support')])
  if scheme == 'BIO':
    assert figures['token_accuracy'] == pytest.approx(metrics.accuracy_score(true, found))
  # The entities of these tags are the ones that they were made of.
  for tags, one in zip(true, gold):
    back = tag_schemes.entities_of(tags, range(len(tags)), range(1, len(tags) + 1), 'x' * len(tags))
    assert [entity[:3] for entity in back] == one


def test_type_and_both_borders_have_to_be_right():
  gold = [[('LOC', 0, 2)]]
  for wrong in ('PER', 0, 2), ('LOC', 0, 1), ('LOC', 0, 3), ('LOC', 1, 2):
    assert entities.score(gold, [[wrong]], [5])['f1'] == 0
  assert entities.score(gold, gold, [5]) == entities.score(gold, [[('LOC', 0, 2, '北京')]], [5])
  assert entities.score(gold, gold, [5])['token_accuracy'] == 1
  assert entities.score(gold, [[]], [5])['token_accuracy'] == 0.6
  assert entities.score([[]], [[]], [0])['f1'] == 0
