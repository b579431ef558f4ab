"""Two and four ranks that divide a batch make the steps of one that has all of it, within the rounding of float32."""

import collections

import numpy as np
import pytest
import tensorflow as tf

from albert.dataset import record_format
from albert.device.session_options import SessionOptions
from albert import input_pipeline
from albert import lamb
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.tasks.pretraining import Pretraining
from albert.training import training_step
from npu_stub import emulator
from tools.preprocessing import data_set

import horovod_stub
import small_corpus
import synthetic_data

# Several sessions each.
pytestmark = [pytest.mark.integration, pytest.mark.usefixtures('hurried')]

BATCH, STEPS, S, P = 8, 20, 32, 5
SMALL = dict(embedding_size=6, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
             max_position_embeddings=S)

# losses: the logged figures of each step, a list of lists. weights: dict of name to array.
Trained = collections.namedtuple('Trained', ['losses', 'weights'])


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return tmp_path_factory.mktemp('data')


@pytest.fixture(scope='module')
def reference(folder):
  return synthetic_data.write_lengths(synthetic_data.write_dataset(str(folder / 'reference'), (50, 31), 3, S, 20))


@pytest.fixture(scope='module')
def compact(folder):
  text_file, vocab_file = small_corpus.write(folder, small_corpus.text(100))
  return data_set.create(small_corpus.settings(
      vocab_file, record_format=record_format.COMPACT, max_seq_length=S, max_predictions_per_seq=P, dupe_factor=1,
      masked_lm_prob=0.15, records_per_shard=60), [text_file], str(folder / 'compact')).info


def train(info, ranks, micro_batch_size, packing=False):
  """Trains on `ranks` ranks in threads. Returns the Trained of each."""
  input_options, optimizer = input_pipeline.InputOptions(packing=packing), lamb.OptimizerOptions(
      learning_rate=0.01, num_warmup_steps=2)
  session_options = SessionOptions(device='cpu', intra_op_parallelism_threads=1, inter_op_parallelism_threads=4)
  config = AlbertConfig(vocab_size=info.vocab_size, **SMALL)

  def run(rank):
    device = npu_session.start(session_options, environ=horovod_stub.environment(rank, ranks))
    tf.set_random_seed(5 + 100 * rank)  # the weights of rank 0 count
    order = input_pipeline.training_order(info, input_options, 3, rank, ranks)
    batches = input_pipeline.training_batches(order, BATCH // ranks, 0, input_options)
    task = Pretraining(config, info)
    made, figures = training_step.make(
        task, task.batch(tf.compat.v1.data.make_one_shot_iterator(batches).get_next()), optimizer, STEPS, device,
        micro_batch_size=micro_batch_size)
    with tf.train.MonitoredTrainingSession(hooks=device.train_hooks(), config=device.session_config()) as session:
      losses = [list(session.run([figures, made.train_op])[0].values()) for _ in range(STEPS)]
      return Trained(losses, session.run({variable.op.name: variable for variable in tf.global_variables()}))

  with horovod_stub.installed():
    return emulator.run_ranks(ranks, run)


@pytest.mark.parametrize('ranks, micro_batch_size, form', [(2, 2, 'packed'), (4, 2, 'compact'), (2, 4, 'reference')])
def test_several_ranks_equal_one(request, ranks, micro_batch_size, form):
  info = request.getfixturevalue('compact' if form == 'compact' else 'reference')
  alone, = train(info, 1, BATCH, form == 'packed')
  for of_rank in train(info, ranks, micro_batch_size, form == 'packed'):
    np.testing.assert_allclose(of_rank.losses, alone.losses, rtol=2e-5, atol=1e-6)
    assert sorted(of_rank.weights) == sorted(alone.weights)
    for name, value in of_rank.weights.items():
      np.testing.assert_allclose(value, alone.weights[name], rtol=1e-3, atol=2e-5, err_msg=name)
  assert np.ptp([losses[0] for losses in alone.losses]) > 0.1  # the run trained
