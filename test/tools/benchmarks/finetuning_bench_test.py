"""tools.benchmarks.finetuning: both forms hold the same examples, and their losses are equal."""

import numpy as np
import pytest
import tensorflow as tf

import labelled_text
from albert.dataset import batch_order
from albert.labelled import options as labelled
from albert.labelled import preparing
from albert.labelled import sources
from albert.model.config import AlbertConfig
from albert.tasks import labelled_tasks
from tools.benchmarks import finetuning


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """(FeatureSpecs, forms, DatasetInfo, number of classes) of a small folder."""
  folder = tmp_path_factory.mktemp('bench')
  data, vocabulary = labelled_text.write(folder / 'data', 'classify'), labelled_text.write_vocabulary(folder)
  options = labelled.LabelledOptions(max_seq_length=32)
  splits = sources.open_splits(data, labelled.CLASSIFY, options)
  info = preparing.prepare(splits, labelled.CLASSIFY, options, vocabulary, str(folder / 'out'), False).info
  head = labelled_tasks.HeadOptions(len(splits.labels), dropout=0.)
  task = labelled_tasks.KINDS[labelled.CLASSIFY](AlbertConfig(
      vocab_size=info.vocab_size, embedding_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
      intermediate_size=12, hidden_dropout_prob=0., attention_probs_dropout_prob=0.), info, head)
  return task, finetuning.forms_of(info, batch_order.BatchOrder(info, 1, 8), task.features)


def test_both_forms_hold_the_same_examples_and_packing_saves_rows(made):
  _, forms = made
  assert forms['packed'].rows < forms['padded'].rows == 8
  for field in ('input_mask', 'example_weights'):
    assert forms['packed'].arrays[field].sum() == forms['padded'].arrays[field].sum()
  assert 'example_ids' not in forms['padded'].arrays


def test_their_losses_are_equal(made):
  task, forms = made
  losses = []
  for form in forms.values():
    with tf.Graph().as_default(), tf.Session() as session:
      tf.set_random_seed(3)
      batch = task.batch({name: tf.constant(value) for name, value in form.arrays.items()})
      loss, _ = task.loss(batch, None, task.denominators(batch))
      session.run(tf.global_variables_initializer())
      losses.append(session.run(loss))
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_the_line_says_what_part_of_the_time_is_left():
  seconds = {'packed': [(1., 2.), (2., 2.), (3., 2.)], 'padded': [(4., 8.), (4., 8.), (4., 8.)]}
  assert finetuning.describe('tiny', seconds, 10).startswith(
      'tiny  packed    20.00 s an epoch, padded    40.00 s: 0.50 of it (pairs 0.25 to 0.75; by CPU time 0.25), ')
