"""Losses and gradients of the kinds of fine-tuning: packed as padded, in parts as whole, and against numpy."""

import collections
import itertools

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight
import tensorflow as tf

import small_steps
from albert.common.errors import UserError
from albert.dataset.batch_order import Layout
from albert.dataset import record_format
from albert.input.formats import packed_windows
from albert.labelled.encoding import Window
from albert.labelled.example import Example
from albert.labelled.labels import Labels
from albert.model.config import AlbertConfig
from albert import modeling
from albert.tasks import crf
from albert.tasks.labelled_task import HeadOptions
from albert.tasks import labelled_tasks
from albert.training.finetune_options import FinetuneOptions
from albert.training import micro_batches

S, C = 24, 3
CONFIG = AlbertConfig(vocab_size=40, embedding_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=12, initializer_range=0.3)
# Examples of these lengths in four rows, the last of which is empty.
ROWS = [[7, 9, 8], [24], [13, 10], []]
LENGTHS = [length for row in ROWS for length in row]

# HeadOptions by name of the case.
CASES = collections.OrderedDict([
    ('classify', HeadOptions(C, dropout=0.0)),
    ('classify weighted', HeadOptions(C, dropout=0.0, class_weights=(0.5, 2.0, 1.0), label_smoothing=0.1)),
    ('classify multi', HeadOptions(C, multi_label=True, dropout=0.0, label_smoothing=0.1)),
    ('regress', HeadOptions(1, dropout=0.0)),
    ('tag', HeadOptions(C, dropout=0.0)),
    ('tag crf', HeadOptions(C, dropout=0.0, crf=True)),
    ('read', HeadOptions(2, dropout=0.0)),
])


def _kind(case):
  return case.split()[0]


def _example(number, length, case):
  random = np.random.RandomState(number)
  def padded(values):
    return list(values) + [0] * (S - len(values))
  example = {'input_ids': padded(random.randint(5, 40, length)), 'input_mask': padded([1] * length),
             'segment_ids': padded([0] * (length // 2) + [1] * (length - length // 2)), 'window': [number]}
  mask = random.randint(0, 2, length)
  mask[0], mask[1], mask[-1] = 0, 1, 0
  start = random.randint(1, length - 2)
  example.update({
      'label_ids': random.randint(0, 2, C) if case == 'classify multi' else [number % C],
      'label_values': [random.randn()], 'tag_ids': padded(random.randint(0, C, length)), 'tag_mask': padded(mask),
      'answer_start': [start], 'answer_end': [random.randint(start, length - 1)]})
  return example


def _examples(case):
  return [_example(number, length, case) for number, length in enumerate(LENGTHS)]


def _packed_rows(examples):
  taken = iter(examples)
  return [[next(taken) for _ in row] for row in ROWS]


def _task(case):
  return labelled_tasks.KINDS[_kind(case)](CONFIG, None, CASES[case])


def _packed(task, examples):
  arrays = packed_windows.pack(_packed_rows(examples), task.features, Layout(len(ROWS), 3), S)
  return task.batch({name: tf.constant(value) for name, value in arrays.items()})


def _padded(task, examples):
  """An example in each row, and nothing of packing."""
  arrays = packed_windows.pack([[example] for example in examples], task.features, Layout(len(examples), 1), S)
  kept = [spec.name for spec in task.features] + ['example_weights']
  return task.batch({name: tf.constant(arrays[name]) for name in kept})


def _loss(task, part, divide_by):
  return task.loss(part, modeling.default_ops(), divide_by)


def _run(fetches):
  with small_steps.unrewritten() as session:
    session.run(tf.global_variables_initializer())
    return session.run(fetches)


def _gradients(loss):
  return [tf.convert_to_tensor(g) for g in tf.gradients(loss, tf.trainable_variables())]


@pytest.mark.parametrize('case', CASES)
def test_packed_rows_and_parts_of_a_batch_have_the_loss_and_gradients_of_the_padded_batch(case):
  task, examples = _task(case), _examples(case)
  fetches = []
  for reuse, batch in ((False, _padded(task, examples)), (True, _packed(task, examples))):
    with tf.variable_scope(tf.get_variable_scope(), reuse=reuse):
      loss, figures = _loss(task, batch, task.denominators(batch))
    fetches.append([loss, list(figures.values())] + _gradients(loss))
  batch = _packed(task, examples)
  divide_by = task.denominators(batch)
  def build(part, number):
    del number
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
      return _loss(task, part, divide_by)
  def gradients(loss, variables):
    return [tf.convert_to_tensor(g) for g in tf.gradients(loss, variables)]
  # In towers; and one by one, in a loop, of a head and of a chain.
  for size, towers in [(4, 2)] + [(1, 1)] * (case in ('classify', 'tag crf')):
    sums, figures = micro_batches.accumulate(batch, size, build, gradients, towers)
    fetches.append([figures['total_loss'], list(figures.values())] + [gradient for gradient, _ in sums])
  plain, *others = _run(fetches)
  assert plain[0] > 0.01
  for other in others:
    for name, a, b in zip(['loss', 'figures'] + [v.op.name for v in tf.trainable_variables()], plain, other):
      np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5, err_msg=name)
  # The pooler is there where it is read, and nowhere else.
  assert any('pooler' in v.op.name for v in tf.trainable_variables()) == (_kind(case) in ('classify', 'regress'))


def _log_softmax(values):
  shifted = values - values.max(axis=-1, keepdims=True)
  return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _oracle(case, examples, logits, more=None):
  """The loss of a batch from its logits: for each example float64 [n, C] of its tokens, or [C]."""
  options, total, weight = CASES[case], 0.0, 0.0
  for example, scores in zip(examples, logits):
    if case == 'classify multi':
      targets = 0.9 * np.array(example['label_ids']) + 0.05
      p = 1 / (1 + np.exp(-scores))
      total, weight = total - (targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean(), weight + 1
    elif _kind(case) == 'classify':
      label = example['label_ids'][0]
      own = options.class_weights[label] if options.class_weights else 1.0
      target = np.eye(C)[label] * (1 - options.label_smoothing) + options.label_smoothing / C
      total, weight = total - own * (target * _log_softmax(scores)).sum(), weight + own
    elif case == 'regress':
      total, weight = total + (scores[0] - example['label_values'][0]) ** 2, weight + 1
    elif case == 'read':
      loss = sum(-_log_softmax(scores[:, which])[example[name][0]]
                 for which, name in enumerate(('answer_start', 'answer_end')))
      total, weight = total + loss / 2, weight + 1
    else:
      scored = [token for token, is_scored in enumerate(example['tag_mask']) if is_scored]
      tags = [example['tag_ids'][token] for token in scored]
      if case == 'tag':
        total -= sum(_log_softmax(scores[token])[tag] for token, tag in zip(scored, tags))
        weight += len(scored)
      else:
        total, weight = total + _enumerated(scores[scored], tags, *more), weight + 1
  return total / weight


def _enumerated(scores, tags, transitions, start, end):
  """Negative log likelihood of a path among all there are."""
  def score(path):
    return (start[path[0]] + end[path[-1]] + sum(scores[t, tag] for t, tag in enumerate(path))
            + sum(transitions[pair] for pair in zip(path, path[1:])))
  everything = [score(path) for path in itertools.product(range(scores.shape[1]), repeat=len(scores))]
  return np.log(np.sum(np.exp(everything))) - score(tags)


def _numeric(function, values):
  """The gradient of function(*values) for each array, by differences."""
  gradients = []
  for value in values:
    gradient = np.zeros_like(value)
    for place in np.ndindex(*value.shape):
      kept = value[place]
      value[place] = kept + 1e-5
      above = function(*values)
      value[place] = kept - 1e-5
      gradient[place] = (above - function(*values)) / 2e-5
      value[place] = kept
    gradients.append(gradient)
  return gradients


@pytest.mark.parametrize('case', CASES)
def test_losses_and_their_gradients_are_those_of_numpy(case):
  task, examples = _task(case), _examples(case)[:3]
  if case == 'tag crf':  # all paths are enumerated: four scored tokens at most
    for example in examples:
      example['tag_mask'] = [int(place in (1, 2, 4, 6)) for place in range(S)]
  random, classes = np.random.RandomState(1), CASES[case].classes
  shape = [classes] if _kind(case) in ('classify', 'regress') else [S, classes]
  of_examples = [random.randn(*([min(shape[0], length), classes] if len(shape) == 2 else shape))
                 for length in LENGTHS[:3]]
  row = np.zeros([1, 3 if len(shape) == 1 else S, classes], np.float32)
  row[0, :3 if len(shape) == 1 else sum(LENGTHS[:3])] = np.concatenate(of_examples) if len(shape) == 2 else of_examples
  arrays = packed_windows.pack([examples], task.features, Layout(1, 3), S)
  batch = task.batch({name: tf.constant(value) for name, value in arrays.items()})
  logits = tf.constant(row)
  losses = task.losses(batch, logits)
  loss = tf.reduce_sum(losses * task.weights(batch)) / task.denominators(batch)
  parameters = [random.randn(*v.shape.as_list()) for v in tf.trainable_variables()]
  order = ['transitions', 'start_transitions', 'end_transitions']
  variables = sorted(tf.trainable_variables(), key=lambda v: order.index(v.op.name.rpartition('/')[2]))
  parameters = [random.randn(*v.shape.as_list()) for v in variables]
  with tf.Session() as session:
    session.run(tf.global_variables_initializer())
    for variable, value in zip(variables, parameters):
      variable.load(value, session)
    total, *gradients = session.run([loss] + tf.gradients(loss, [logits] + variables))

  def oracle(*values):
    return _oracle(case, examples, values[:3], values[3:])
  np.testing.assert_allclose(total, oracle(*(of_examples + parameters)), rtol=1e-5)
  expected = _numeric(oracle, of_examples + parameters)
  flat = np.concatenate(expected[:3]) if len(shape) == 2 else np.stack(expected[:3])
  np.testing.assert_allclose(gradients[0][0, :len(flat)], flat, atol=1e-5)
  assert not gradients[0][0, len(flat):].any()
  for gradient, value in zip(gradients[1:], expected[3:]):
    np.testing.assert_allclose(gradient, value, atol=1e-5)


def test_a_class_weight_is_as_good_as_so_many_examples():
  examples = _examples('classify')
  repeated = [example for example in examples for _ in range(2 if example['label_ids'] == [1] else 1)]
  losses = []
  for options, given in ((HeadOptions(C, dropout=0.0, class_weights=(1.0, 2.0, 1.0)), examples),
                         (HeadOptions(C, dropout=0.0), repeated)):
    task = labelled_tasks.KINDS['classify'](CONFIG, None, options)
    with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
      batch = _padded(task, given)
      losses.append(_loss(task, batch, task.denominators(batch))[0])
  weighted, plain = _run(losses)
  assert weighted == pytest.approx(plain, rel=1e-6) and len(repeated) == len(examples) + 2


def test_a_crf_of_222_tags_does_not_overflow():
  random, count = np.random.RandomState(0), 222
  emissions = tf.constant(random.randn(2, 16, count) * 50.0, tf.float32)
  transitions = np.where(random.rand(count, count) < 0.5, -10000.0, random.randn(count, count) * 5.0)
  parameters = crf.Parameters(tf.constant(transitions, tf.float32),
                              *[tf.constant(random.randn(count), tf.float32)] * 2)
  tags = tf.constant(random.randint(0, count, [2, 16]), tf.int32)
  loss, chains = crf.loss(emissions, tags, tf.ones([2, 16], tf.int32), tf.zeros([2, 16], tf.int32), parameters)
  loss, chains, *gradients = _run([loss, chains] + tf.gradients(loss, [emissions] + list(parameters)))
  assert np.isfinite(loss).all() and (loss > 0).all() and chains.tolist() == [1, 1]
  assert all(np.isfinite(gradient).all() for gradient in gradients)
  # Probabilities minus what is labelled.
  np.testing.assert_allclose(gradients[0].sum(axis=2), 0.0, atol=1e-4)


def test_a_text_without_a_scored_token_has_no_chain():
  task = _task('tag crf')
  examples = _examples('tag crf')
  examples[1]['tag_mask'] = [0] * S
  batch = _packed(task, examples)
  loss, _ = _loss(task, batch, task.denominators(batch))
  weights, loss = _run([task.weights(batch), loss])
  assert weights.tolist() == [2, 1, 2, 0] and np.isfinite(loss)


@pytest.mark.parametrize('case', ['classify', 'tag'])
def test_logits_are_found_by_the_number_of_their_window(case):
  task, examples = _task(case), _examples(case)
  fetches = []
  for reuse, batch in ((False, _packed(task, examples)),
                       (True, task.batch({name: tf.constant(value) for name, value in packed_windows.pack(
                           [[example] for example in examples[::-1]], task.features, Layout(6, 1), S).items()}))):
    with tf.variable_scope(tf.get_variable_scope(), reuse=reuse):
      fetches.append(task.predictions(batch, task.outputs(batch, modeling.default_ops())))
  first, second = [labelled_tasks.by_window(predictions) for predictions in _run(fetches)]
  assert sorted(first) == sorted(second) == list(range(len(examples)))
  for number, logits in first.items():
    assert logits.shape == ((C,) if case == 'classify' else (LENGTHS[number], C))
    np.testing.assert_allclose(logits, second[number], atol=1e-5)


def test_what_is_served_are_the_logits_of_unpacked_rows():
  for case in ('classify', 'tag'):
    with tf.Graph().as_default():
      task, examples = _task(case), _examples(case)
      padded = _padded(task, examples)
      outputs = task.outputs(padded, modeling.default_ops())
      with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        given = {name: tf.placeholder_with_default(getattr(padded, name), [None, None])
                 for name in task.signatures[_kind(case)]}
        served = task.serve(_kind(case), task.batch(given), modeling.default_ops())['logits']
      logits, served = _run([outputs.logits, served])
      np.testing.assert_allclose(served, logits[:, 0] if case == 'classify' else logits, atol=1e-6)


def test_records_declare_what_tasks_read():
  for case in CASES:
    task = _task(case)
    assert {spec.name for spec in record_format.WINDOW_FEATURES} < {spec.name for spec in task.features}
    assert task.head_size(1).parameters == CASES[case].classes * (CONFIG.hidden_size + 1) + (
        C * (C + 2) if case == 'tag crf' else 0)


def test_an_example_is_scored_once_by_the_mean_of_its_windows():
  labels = collections.namedtuple('Labels', ['names'])(['a', 'b', 'c'])
  shown = [Window(number, [2, 3], [0, 0], [-1] * 2, [-1] * 2, target) for number, target in ((4, 1), (4, 1), (6, 2))]
  texts = [Example(number, None, 'dev', 1, 'text', None, 'b') for number in (4, 6)]
  task = labelled_tasks.KINDS['classify'](CONFIG, None, HeadOptions(C), labelled_tasks.Judged(texts, shown, labels))
  predictions = {'logits': np.array([[[3.0, 0, 0], [0, 4.0, 0]], [[0, 0, 1.0], [9.0, 9.0, 9.0]]]),
                 'window': np.array([[0, 1], [2, 0]]), 'example_weights': np.array([[1.0, 1.0], [1.0, 0.0]])}
  assert task.score(predictions)[0] == {'accuracy': 1.0, 'macro_f1': 1.0}
  # With a window missing, as with max_eval_steps, the example is left out.
  predictions['example_weights'][0, 1] = 0.0
  predictions['logits'][1, 0] = [1.0, 0, 0]
  figures, doubt = task.score(predictions)
  assert figures['accuracy'] == 0.0 and 'dev' in doubt


def test_balanced_weights_are_those_of_sklearn():
  labels = collections.namedtuple('Labels', ['names', 'counts', 'multi_label'])(['a', 'b'], {'a': 6, 'b': 2}, False)
  options = FinetuneOptions(kind='classify', class_weights='balanced')
  head = labelled_tasks.head_options(options, labels)
  np.testing.assert_allclose(head.class_weights, compute_class_weight(
      'balanced', classes=np.array([0, 1]), y=[0] * 6 + [1] * 2))
  for bad in (FinetuneOptions(kind='classify', class_weights=[1, 2, 3]), FinetuneOptions(kind='classify', metric='f1')):
    with pytest.raises(UserError, match='finetune.'):
      labelled_tasks.head_options(bad, labels)


def test_the_threshold_of_several_classes_is_tuned_on_dev_if_asked():
  names = ['a', 'b']
  labels = Labels('classify', names, dict.fromkeys(names, 1), multi_label=True)
  windows = [[Window(number, [], [], [], [], target)] for number, target in enumerate([[1, 0], [1, 0], [0, 1], [0, 0]])]
  probabilities = np.array([[.32, .1], [.4, .2], [.1, .9], [.2, .1]])
  judged = [(None, found, [np.log(row / (1 - row))]) for found, row in zip(windows, probabilities)]

  def task(threshold):
    options = FinetuneOptions(kind='classify', threshold=threshold)
    return labelled_tasks.KINDS['classify'](
        CONFIG, None, labelled_tasks.head_options(options, labels), labelled_tasks.Judged([], [], labels))

  plain, tuned = task(0.35), task('dev')
  scored = [plain.scored(*entry) for entry in judged]
  assert plain.figures_of(scored)['micro_f1'] == 0.8 and 'threshold' not in plain.figures_of(scored)
  assert 'threshold' not in plain.heldout_columns and tuned.heldout_columns[-1] == 'threshold'
  assert tuned.figures_of(scored)['micro_f1'] == 1.0 and tuned.figures_of(scored)['threshold'] == 0.3
  tuned.threshold = 0.5  # that of a checkpoint, on whatever text
  assert tuned.figures_of(scored) == dict(task(0.5).figures_of(scored), threshold=0.5)


@pytest.mark.parametrize('threshold', ['dve', 1.0, -0.1, True])
def test_a_threshold_that_cannot_be_meant(threshold):
  with pytest.raises(UserError, match='finetune.threshold'):
    FinetuneOptions(kind='classify', threshold=threshold)


@pytest.mark.parametrize('kind', ['classify', 'regress'])
def test_a_threshold_belongs_to_several_classes(kind):
  labels = Labels(kind, ['a', 'b'] if kind == 'classify' else [])
  with pytest.raises(UserError, match='FinetuneData.multi_label'):
    labelled_tasks.head_options(FinetuneOptions(kind=kind, threshold='dev'), labels)
