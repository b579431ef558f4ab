"""The held-out evaluation keeps its graph and session; its figures are those of an evaluation that begins anew."""

import logging
import os

import gin
import pytest
import tensorflow as tf

import synthetic_data
from albert.dataset.lost_records import LostRecords
from albert import npu_session
from albert.tasks.pretraining import Pretraining
from albert.training import evaluation
from albert.training import planning
from albert.training.run_options import RunOptions
from albert.training import stopping
from albert.training import together
from npu_stub import emulator


@pytest.fixture(scope='module')
def plan(tmp_path_factory):
  folder = tmp_path_factory.mktemp('run')
  gin.parse_config(["SessionOptions.device = 'cpu'", 'AlbertConfig.hidden_size = 8', 'AlbertConfig.embedding_size = 6',
                    'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 12',
                    'AlbertConfig.num_hidden_layers = 1', 'SessionOptions.fused_ops = False'])
  info = synthetic_data.write_dataset(str(folder / 'data'))
  where = planning.Where(info.folder, str(folder / 'out'))
  return planning.decide(where, RunOptions(train_batch_size=4, eval_batch_size=4), Pretraining)


@pytest.fixture(scope='module')
def checkpoints(plan):
  """Prefixes of two checkpoints with different weights."""
  with tf.Graph().as_default(), tf.Session() as session:
    tf.set_random_seed(1)
    batch = plan.task.batch(synthetic_data.tensors())
    plan.task.outputs(batch, evaluation.training_step.model_ops(npu_session.start(plan.session_options)))
    saver, others = tf.train.Saver(), [variable.assign(2.0 * variable) for variable in tf.trainable_variables()]
    session.run(tf.global_variables_initializer())
    first = saver.save(session, os.path.join(plan.where.output_dir, 'model.ckpt'), 1)
    session.run(others)
    return [first, saver.save(session, os.path.join(plan.where.output_dir, 'model.ckpt'), 2)]


def _evaluator(plan, stopper=None):
  device = npu_session.start(plan.session_options, plan.placement, plan.cores)
  return evaluation.Evaluator(plan, device, LostRecords(plan.heldout), stopper or stopping.Stopper(),
                              together.Ranks(device))


def test_one_graph_and_session_serve_all_checkpoints(plan, checkpoints, monkeypatch, caplog):
  caplog.set_level(logging.INFO, 'albert')
  built = []
  build, run = evaluation.Evaluator._build, tf.Session.run
  monkeypatch.setattr(evaluation.Evaluator, '_build', lambda *arguments: built.append(1) or build(*arguments))

  def run_as_on_the_npu(session, fetches, *arguments):
    emulator.check_runs_alone([fetch for fetch in tf.nest.flatten(fetches) if not isinstance(fetch, str)])
    return run(session, fetches, *arguments)

  monkeypatch.setattr(tf.Session, 'run', run_as_on_the_npu)
  kept = _evaluator(plan)
  figures = [kept.evaluate(prefix) for prefix in checkpoints + checkpoints[:1]]
  assert len(built) == 1
  assert figures[0] == figures[2] != figures[1]
  said, = [line for line in caplog.messages if line.startswith('held-out at step 2: masked LM loss ')]
  assert said == '; '.join(plan.task.summary(2, figures[1])) and '(perplexity ' in said
  assert [_evaluator(plan).evaluate(prefix) for prefix in checkpoints] == figures[:2]
  kept.close()


def test_an_evaluation_that_was_left_does_not_reach_into_the_next(plan, checkpoints):
  stopper = stopping.Stopper()
  kept = _evaluator(plan, stopper)
  expected = kept.evaluate(checkpoints[0])
  checked = []
  stopper.check = lambda: checked.append(1) or (len(checked) == 2 and _stop())
  with pytest.raises(stopping.Stopped):
    kept.evaluate(checkpoints[0])
  assert kept.evaluate(checkpoints[0]) == expected
  kept.close()


def _stop():
  raise stopping.Stopped()
