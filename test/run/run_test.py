"""The folder of a run: whose it is, as the lock has it and as its checkpoints say."""

import types

import pytest

import synthetic_data
from albert.common.errors import Diverged
from albert.common.errors import UserError
from albert.model.config import AlbertConfig
from albert.run import belonging
from albert.run import checkpoints
from albert.run import directory
from albert.run import names
from albert.run import run
from albert.run import run_state
from albert.tasks.pretraining import Pretraining
from albert.training.run_options import RunOptions

CONFIG = AlbertConfig(vocab_size=60, hidden_size=8, num_attention_heads=2, embedding_size=6, intermediate_size=12)
SETTINGS = {'train_batch_size': 4, 'random_seed': 1}


@pytest.fixture
def info(tmp_path):
  return synthetic_data.write_dataset(str(tmp_path / 'data'), (5,), 2)


def _save(folder, step, **entries):
  temporary = checkpoints.temporary_prefix(str(folder), step)
  with open(temporary + '.index', 'w') as target:
    target.write(str(step))
  return checkpoints.commit(str(folder), temporary, step, entries)


@pytest.fixture
def begun(tmp_path, info):
  """A run with a checkpoint of step 4, as this version makes it."""
  (tmp_path / 'out').mkdir()  # the lock makes it
  made = run.Run(str(tmp_path / 'out'), Pretraining, RunOptions())
  made.begin(CONFIG, info, SETTINGS, {'learning_rate': 0.1})
  _save(tmp_path / 'out', 4, belongs_to=belonging.entries(CONFIG, info), run_state=made.state.entries())
  return tmp_path / 'out'


def test_what_another_run_has_recorded_meanwhile_counts(begun, info):
  """Between the plan of a run and its lock, another run may have begun, changed settings or ended here."""
  late = run.Run(str(begun), Pretraining, RunOptions())
  run_state.RunState(str(begun)).agree(dict(SETTINGS, random_seed=2), ('random_seed',), 4)
  with pytest.raises(UserError, match='random_seed 2 .here: 1.'):
    late.begin(CONFIG, info, SETTINGS, {})


def test_an_architecture_that_has_come_meanwhile_counts(begun, info, tmp_path):
  late = run.Run(str(begun), Pretraining, RunOptions())
  with pytest.raises(UserError, match='num_hidden_layers 12 .here: 3.'):
    late.begin(AlbertConfig(**dict(CONFIG.to_dict(), num_hidden_layers=3)), info, SETTINGS, {})


@pytest.mark.parametrize('name', names.DESCRIPTION)
@pytest.mark.parametrize('content', [None, b'', b'\xff{'])
@pytest.mark.fault('damaged small file')
def test_a_damaged_description_is_written_again(begun, info, name, content):
  good = (begun / name).read_bytes()
  (begun / name).unlink()
  if content is not None:
    (begun / name).write_bytes(content)
  run.Run(str(begun), Pretraining, RunOptions()).begin(CONFIG, info, SETTINGS, {})
  assert (begun / name).read_bytes() == good


def test_the_vocabulary_of_the_weights_counts_whatever_lies_beside_them(begun, info):
  other = types.SimpleNamespace(vocab_sha256='b' * 64, folder='other')
  (begun / names.VOCAB_FILE).unlink()
  with pytest.raises(UserError, match='expected the vocabulary of the data set other .SHA-256 bbbbbbbbbbbb'):
    directory.check(str(begun), CONFIG, other)
  directory.check(str(begun), CONFIG, info)


class Gone:
  """A lock that was lost."""

  def check(self):
    raise UserError('gone')


def test_a_run_that_has_lost_its_lock_writes_nothing_that_counts(begun, info):
  made = run.Run(str(begun), Pretraining, RunOptions())
  made.lock = Gone()
  figures = dict.fromkeys(Pretraining.heldout_columns, 1.0)
  before = sorted(path.name for path in begun.iterdir())
  for write in (lambda: made.keep(str(begun / 'model.ckpt-4'), 4, figures), lambda: made.remember({}, 'x'),
                lambda: made.retain(4), lambda: made.loss_history.add(4, {'total_loss': 1.0}),
                lambda: made.measure_best_again(figures, 'x')):
    with pytest.raises(UserError, match='gone'):
      write()
  assert sorted(path.name for path in begun.iterdir()) == before


def test_what_to_do_after_a_divergence_is_what_is_there(begun, info):
  made = run.Run(str(begun), Pretraining, RunOptions())
  figures = dict.fromkeys(Pretraining.heldout_columns, 1.0)
  bad = dict(figures, masked_lm_loss=float('nan'))
  made.heldout_history.forget_after(0)
  _save(begun, 8)
  with pytest.raises(Diverged, match='NaN or infinity in masked_lm_loss; there is no best yet; .*use another'):
    made.keep(str(begun / 'model.ckpt-8'), 8, bad)
  made.keep(str(begun / 'model.ckpt-4'), 4, figures)
  with pytest.raises(Diverged, match='best/model.ckpt-4 stays the best; .*remove the checkpoints after step 4'):
    made.keep(str(begun / 'model.ckpt-8'), 8, bad)
  for path in begun.glob('model.ckpt-4*'):
    path.unlink()
  with pytest.raises(Diverged, match='put .*best/model.ckpt-4.* in place of the checkpoints'):
    made.keep(str(begun / 'model.ckpt-8'), 8, bad)
  assert made.heldout_history.steps() == [4]
