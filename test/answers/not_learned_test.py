"""answers.learning: each of the three reasons is checked, and named if it is one."""

import types

import pytest

from albert.answers import learning
from albert.dataset import tokenization
from albert.labelled.example import Example
from albert.training import evaluation
import labelled_text

TEXT = labelled_text.TOKENS[0] * 5
TRAIN = [Example(number, None, 'train', number + 1, TEXT, None, 'ab'[number % 2]) for number in range(8)]


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  path = labelled_text.write_vocabulary(tmp_path_factory.mktemp('vocabulary'))
  return tokenization.Tokenizer(tokenization.Vocabulary.load(path))


def line(tokenizer, train=TRAIN, **changes):
  evidence = learning.Evidence(1e-4, 312, 'encoder 23 of 23 variables, head new', [0.7] * 8)
  return learning.line('dev is as bad as chance', evidence._replace(**changes), train, tokenizer)


def test_what_is_not_the_reason_is_said_too(tokenizer):
  assert line(tokenizer) == (
      'NOT LEARNED: dev is as bad as chance. Checked: (1) the rate 1e-4 is not too high, 5e-5 to 5e-4 are usual '
      'for hidden size 312; (2) encoder 23 of 23 variables, head new, 0.0% of the tokens of train are unknown to the '
      'vocabulary; (3) train was not learned either, more epochs may help, or the labels do not follow from the text: '
      'the training loss came to 0.700, the labels alone have 0.693 nats')


@pytest.mark.parametrize('rate, size, said', [
    (1e-3, 312, 'THE RATE 1e-3 IS TOO HIGH'), (5e-4, 312, 'is not too high'),
    (2e-4, 768, 'IS TOO HIGH'), (2e-4, 384, 'is not too high'),
    (4e-5, 4096, 'IS TOO HIGH'), (1e-6, 768, 'IS LOW'),
    (1e-4, 128, 'THE RATE 1e-4 IS LOW'), (1e-3, 128, 'is not too high'), (3e-3, 128, 'IS TOO HIGH')])
def test_the_rate_is_compared_with_what_is_usual_for_the_size(tokenizer, rate, size, said):
  assert said in line(tokenizer, learning_rate=rate, hidden_size=size)


def test_the_rate_is_that_of_the_parts_and_frozen_ones_are_named(tokenizer):
  assert 'THE RATE 1e-3, 10 times 1e-4, IS TOO HIGH' in line(tokenizer, rate_multipliers={'encoder': 10})
  assert 'the rate 1e-4 is not too high' in line(tokenizer, rate_multipliers={'head': 10})
  assert 'for hidden size 312, and encoder were frozen;' in line(tokenizer, rate_multipliers={'encoder': 0})
  said = line(tokenizer, init=None, rate_multipliers={'embeddings': 0, 'encoder': 0, 'head': 10})
  assert 'KEEPS embeddings and encoder AS RANDOM AS THEY BEGAN' in said


def test_a_long_adversarial_step_is_named(tokenizer):
  said = line(tokenizer, fgm_epsilon=0.5)
  assert 'hidden size 312, and finetune.fgm_epsilon=0.5: TRY A TENTH OF IT OR NONE; (2)' in said


def test_no_weights_or_another_vocabulary(tokenizer):
  assert '(2) NO INIT' in line(tokenizer, init=None)
  others = [example._replace(text_a='\u9f8d' + TEXT) for example in TRAIN]
  assert 'ANOTHER VOCABULARY: 16.7% of the tokens' in line(tokenizer, others)


def test_labels_that_do_not_follow_from_the_text(tokenizer):
  assert 'THE LABELS OF DEV MAY NOT FOLLOW FROM THE TEXT' in line(tokenizer, train_losses=[0.7] * 6 + [0.1] * 2)
  assert 'somebody has to look' in line(tokenizer, train_losses=[])
  assert 'the training loss came to 0.100,' in line(tokenizer, train_losses=[0.1, 0.1, float('nan'), float('inf')])
  numbers = [example._replace(label=0.5) for example in TRAIN]
  assert 'more epochs may help; whether the answers follow' in line(tokenizer, numbers)


@pytest.mark.parametrize('doubt, evaluated, told', [
    ('not one entity', [2, 4, 6], [4]), (None, [2, 4, 6], []), ('not one entity', [9], [9]),
    ('not one entity', [2], [])])
def test_it_is_told_once_after_a_third_of_the_steps_too(doubt, evaluated, told, caplog):
  """Of 10 steps: at the first evaluation from step 4 on."""
  done = []
  run = types.SimpleNamespace(
      is_regular=lambda step: True, lacks_evaluation_of=lambda step: True,
      heldout_history=types.SimpleNamespace(steps=lambda: done),
      keep=lambda checkpoint, step, figures, evaluated_on: done.append(step))
  evaluator = types.SimpleNamespace(num_train_steps=10, doubt=doubt, evaluate=lambda checkpoint, in_curve: {})
  stopper = types.SimpleNamespace(activity=types.SimpleNamespace(begin=lambda what: None))
  ranks = types.SimpleNamespace(as_chief_says=lambda ask: ask())
  due = evaluation.DueEvaluations(run, evaluator, 'dev', stopper, ranks)
  steps = []
  for step in evaluated:
    caplog.clear()
    due.of('model.ckpt-{}'.format(step), step)
    steps += [step] * ('NOT LEARNED so far, after a third of the steps: not one entity' in caplog.text)
  assert steps == told
