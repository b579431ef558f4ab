"""What does not go with a device is refused before anything is written or built; deciding has no effects."""

import logging
import os

import gin
import pytest

import synthetic_data
from albert.common.errors import UserError
from albert.device import session_options
from albert.model.config import AlbertConfig
from albert import npu_session
from albert.tasks.pretraining import Pretraining
from albert.training import planning
from albert.training.run_options import RunOptions

DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.1)


def _check(monkeypatch, dropout, config, recompute=True):
  options = session_options.SessionOptions(device='cpu', fused_ops=False)
  device = npu_session.start(options, environ={})
  device.dropout = dropout
  monkeypatch.setattr(npu_session, 'Device', lambda *unused: device)
  planning._check_device(planning.Where('data', 'out'), RunOptions(recompute=recompute), config, options,
                         npu_session.choose(options, {}))


@pytest.mark.parametrize('rates', [DROPOUT] + [{name: rate} for name, rate in DROPOUT.items()])
def test_recomputation_with_the_dropout_of_the_npu_is_refused(monkeypatch, rates):
  none = dict.fromkeys(DROPOUT, 0.0)
  with pytest.raises(UserError, match='expected SessionOptions.fused_ops=False'):
    _check(monkeypatch, lambda x, rate: x, AlbertConfig(**dict(none, **rates)))
  _check(monkeypatch, None, AlbertConfig(**dict(none, **rates)))
  _check(monkeypatch, lambda x, rate: x, AlbertConfig(**none))
  _check(monkeypatch, lambda x, rate: x, AlbertConfig(**dict(none, **rates)), recompute=False)


@pytest.fixture
def info(tmp_path):
  gin.parse_config(["SessionOptions.device = 'cpu'", 'AlbertConfig.hidden_size = 8', 'AlbertConfig.embedding_size = 6',
                    'AlbertConfig.num_attention_heads = 2', 'AlbertConfig.intermediate_size = 12'])
  return synthetic_data.write_dataset(str(tmp_path / 'data'))


def test_deciding_writes_nothing_and_says_nothing(info, tmp_path, caplog):
  caplog.set_level(logging.INFO, logger='albert')
  where = planning.Where(os.path.join(info.folder, 'train-*'), str(tmp_path / 'out'))
  plan = planning.decide(where, RunOptions(train_batch_size=4, eval_batch_size=2), Pretraining)
  assert os.listdir(str(tmp_path)) == ['data']
  assert not [record for record in caplog.records if record.name == 'albert']
  assert plan.heldout is None and plan.placement.kind == 'cpu'
  planning.log(plan)
  assert 'nothing is held out' in caplog.text


def test_the_plan_holds_what_is_recorded_with_the_run(info, tmp_path):
  where = planning.Where(info.folder, str(tmp_path / 'out'))
  plan = planning.decide(where, RunOptions(train_batch_size=6, micro_batch_size=3, eval_batch_size=2), Pretraining)
  assert plan.micro_batch_size == 3 and plan.cores.cpu_towers in (1, 3)
  assert plan.settings == dict(
      plan.cores._asdict(), train_batch_size=6, micro_batch_size=3, ranks=1, data_set=info.fingerprint(),
      random_seed=12345, shuffle_buffer_records=16384, packing=False)


@pytest.mark.parametrize('name', ['options', 'session_options', 'input_options', 'optimizer', 'config'])
def test_nothing_that_gin_bound_can_be_changed_afterwards(info, tmp_path, name):
  plan = planning.decide(planning.Where(info.folder, str(tmp_path / 'out')), RunOptions(), Pretraining)
  options = getattr(plan, name)
  for attribute in vars(options):
    with pytest.raises(AttributeError):
      setattr(options, attribute, None)
