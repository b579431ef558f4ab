"""What the trainer says before it trains."""

import types

import pytest

from albert.training import trainer


@pytest.mark.parametrize('operation,probability,said', [
    (object(), 0.1, True), (object(), 0.0, False), (None, 0.1, False)])
def test_dropout_that_is_not_repeated_is_told(caplog, operation, probability, said):
  """The NPU's own dropout draws other masks when a run goes on."""
  session = types.SimpleNamespace(ranks=1, is_chief=False, dropout=operation, measures_input_wait=True,
                                  train_hooks=lambda hooks: hooks)
  run = types.SimpleNamespace(
      session=session, start=0, rows=None, guard=types.SimpleNamespace(record=0),
      asked=types.SimpleNamespace(train_batch_size=4, num_train_steps=8),
      info=types.SimpleNamespace(max_seq_length=24),
      config=types.SimpleNamespace(hidden_dropout_prob=probability, attention_probs_dropout_prob=0.0),
      estimator=lambda: types.SimpleNamespace(train=lambda *unused, **also_unused: None))
  trainer.Trainer._train_from_start(run)
  assert ("dropout runs in the NPU's own operation" in caplog.text) == said
