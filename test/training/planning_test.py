"""What does not go with a device is refused before anything is written or built."""

import types

import pytest

from albert.common.errors import UserError
from albert.device import session_options
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.training import planning

ASKED = dict(do_train=True, recompute=True, spike_factor=None, num_train_steps=10, save_checkpoints_steps=10)
DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1)


def _check(dropout, config, **changes):
  session = npu_session.start(session_options.SessionOptions(device='cpu', fused_ops=False), environ={})
  session.dropout = dropout
  planning._check_device(types.SimpleNamespace(**dict(ASKED, **changes)), config, session)


@pytest.mark.parametrize('rates', [DROPOUT] + [{name: rate} for name, rate in DROPOUT.items()])
def test_recomputation_with_the_dropout_of_the_npu_is_refused(rates):
  none = dict.fromkeys(DROPOUT, 0.0)
  with pytest.raises(UserError, match='expected SessionOptions.fused_ops=False'):
    _check(lambda x, rate: x, AlbertConfig(**dict(none, **rates)))
  _check(None, AlbertConfig(**dict(none, **rates)))
  _check(lambda x, rate: x, AlbertConfig(**none))
  _check(lambda x, rate: x, AlbertConfig(**dict(none, **rates)), recompute=False)
