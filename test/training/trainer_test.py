"""What the trainer says before it trains."""

import types

import pytest

from albert.training import trainer


@pytest.mark.parametrize('operation,probability,said', [
    (object(), 0.1, True), (object(), 0.0, False), (None, 0.1, False)])
def test_dropout_that_is_not_repeated_is_told(caplog, operation, probability, said):
  """The NPU's own dropout draws other masks when a run goes on."""
  plan = types.SimpleNamespace(
      options=types.SimpleNamespace(train_batch_size=4, num_train_steps=8), task=None,
      info=types.SimpleNamespace(max_seq_length=24), input_options=types.SimpleNamespace(packing=False),
      config=types.SimpleNamespace(hidden_dropout_prob=probability, attention_probs_dropout_prob=0.0))
  device = types.SimpleNamespace(ranks=1, dropout=operation, measures_input_wait=True)
  trainer.Trainer(plan, device, types.SimpleNamespace(start=0), order=None, stopper=None)._announce()
  assert ("dropout runs in the NPU's own operation" in caplog.text) == said
