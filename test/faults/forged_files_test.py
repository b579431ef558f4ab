"""Small files of a data set and of unfinished work, changed at random: one line, or the result that it was before.

Never a traceback, a hang, another result, or a file touched outside. Seeds are fixed. FAULT_KILLS says how many: 5 in
`make test`, thousands in all; 50 in `make test-faults`, thousands of each, and whole runs.
"""

import contextlib
import glob
import hashlib
import json
import logging
import os
import random
import shutil
import signal

import pytest

import fault_runs
import small_corpus
from albert.common.errors import UserError
from albert.dataset import contract
from albert.dataset import lost_records
from albert import input_pipeline
from albert.run.best import Best
from albert.run import checkpoints
from albert.run import names
from albert.run import results
from albert.run import run_state
from albert.tasks.pretraining import Pretraining
from albert.tasks import unigram
from tools.preprocessing import data_set
from tools.preprocessing import stages
from tools.workers import kept_results

pytestmark = pytest.mark.integration

KILLS = int(os.environ.get('FAULT_KILLS', '5'))
SEED = int(os.environ.get('FAULT_SEED', '20261123'))
# Longest that anything may take.
_SECONDS = 30
# Values that are put into JSON where others were.
_STRANGE = (None, True, -5, 0, 3.5, 10**12, 10**30, float('inf'), '', 'x', '5', '../../outside/victim', '/dev/zero',
            '..', '\ud83d', 'a\0b', [], {}, [[]], {'file': '../x'}, [None] * 3)


@contextlib.contextmanager
def _in_time():
  """Raises TimeoutError in what takes too long."""
  def ring(*unused):
    raise TimeoutError('a hang')
  before = signal.signal(signal.SIGALRM, ring)
  signal.alarm(_SECONDS)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _bytes_changed(content, generator):
  """The bytes with a few changes: of single bytes, cuts, repeats, insertions."""
  data = bytearray(content)
  for _ in range(generator.choice((1, 1, 1, 2, 4))):
    place = generator.randrange(len(data) + 1)
    kind = generator.randrange(6)
    if kind == 0:
      del data[place:]
    elif kind == 1:
      del data[place:place + generator.choice((1, 2, 40))]
    elif kind == 2:
      data[place:place] = data[place:place + 30] or b'0'
    elif kind == 3:
      data[place:place] = bytes(generator.choice(b'0919-."{}[]\n\t\0\xff') for _ in range(generator.choice((1, 3))))
    elif place < len(data):
      data[place] = generator.randrange(256) if kind == 4 else data[place] ^ 1 << generator.randrange(8)
  return bytes(data)


def _values_changed(content, generator):
  """The JSON with strange values, and without its checksum."""
  said = json.loads(content.decode('utf-8'))
  said.pop('sha256')
  for _ in range(generator.choice((1, 1, 2))):
    place = said
    while True:
      key = generator.choice(list(place) if isinstance(place, dict) else range(len(place)))
      if not (isinstance(place[key], (dict, list)) and place[key]) or generator.random() < 0.15:
        break
      place = place[key]
    if generator.random() < 0.2:
      del place[key]
    else:
      place[key] = generator.choice(_STRANGE)
  return json.dumps(said).encode('utf-8')


def _sum_of(folder):
  """Stands for all files below a folder."""
  digest = hashlib.sha256()
  for path, folders, file_names in sorted(os.walk(str(folder))):
    for name in sorted(file_names):
      with open(os.path.join(path, name), 'rb') as source:
        digest.update(os.path.join(path, name).encode('utf-8', 'surrogateescape') + b'\0' + source.read())
    digest.update(repr(sorted(folders)).encode('utf-8'))
  return digest.hexdigest()


@pytest.fixture(scope='module')
def text(tmp_path_factory):
  """(text file, vocabulary)."""
  return small_corpus.write(tmp_path_factory.mktemp('text'), small_corpus.text(40))


@pytest.fixture(scope='module')
def made(text, tmp_path_factory):
  """{record format: folder of a data set}."""
  folders = {name: str(tmp_path_factory.mktemp('made') / name) for name in ('reference', 'compact')}
  for name, folder in folders.items():
    small_corpus.create(folder, text, record_format=name)
  return folders


@pytest.fixture
def outside(tmp_path):
  """Nothing here may change."""
  folder = tmp_path / 'outside'
  folder.mkdir()
  (folder / 'victim').write_text('mine')
  before = _sum_of(folder)
  yield folder
  assert _sum_of(folder) == before


@pytest.fixture(autouse=True)
def _quiet():
  """Thousands of warnings."""
  logger = logging.getLogger('albert')
  before = logger.level
  logger.setLevel(logging.CRITICAL)
  yield
  logger.setLevel(before)


def _what_is_read(folder, packing, run):
  """What a training reads of a data set, without TensorFlow: a digest. run: its folder."""
  info = input_pipeline.open_dataset(folder)
  lost = lost_records.LostRecords(info, run)
  order = input_pipeline.training_order(info, input_pipeline.InputOptions(packing=packing), 3, lost=lost, folder=run)
  digest, count = hashlib.sha256(repr(order.epoch_length).encode('utf-8')), min(60, order.epoch_length)
  with contextlib.closing(order.reader(input_pipeline.record_format.REFERENCE_FEATURES)) as reader:
    for place, _ in zip(order.units(0), range(count)):
      digest.update(b'\0'.join(order.read(reader, *place)))
  try:
    unigram.nats(info.token_counts_file, info.vocab_size, info.digests.get(contract.TOKEN_COUNTS_FILE))
  except UserError:
    pass  # a figure is left out
  return digest.hexdigest()


def _outcome(function, *arguments):
  """What it returns, or None if it says in one line what is wrong. Any other exception is a fault."""
  try:
    with _in_time():
      return function(*arguments)
  except UserError as error:
    assert '\n' not in str(error) and len(str(error)) < 1500, str(error)
    return None


# The file; whether batches are packed; how it is changed; tries for one of KILLS; whether other values may be read:
# nothing but a checksum tells a share of 0.1 from one of 0.2.
_FUZZED = [
    ('dataset.json', 'reference', False, _bytes_changed, 100, False),
    ('dataset.json', 'compact', False, _bytes_changed, 50, False),
    ('dataset.json', 'reference', True, _values_changed, 100, True),
    ('dataset.json', 'compact', False, _values_changed, 50, True),
    ('token_counts.txt', 'reference', False, _bytes_changed, 50, False),
    ('*.lengths.npy', 'reference', True, _bytes_changed, 40, False),
    ('vocab.txt', 'compact', False, _bytes_changed, 50, False),
    ('run/lost_records.tsv', 'reference', False, _bytes_changed, 50, False),
    ('run/checked_records.tsv', 'reference', False, _bytes_changed, 30, False),
    ('run/record_lengths-*.npz', 'reference', True, _bytes_changed, 10, False)]


@pytest.mark.parametrize('name,kind,packing,change,tries,may_differ', [
    pytest.param(*row, marks=pytest.mark.fault('forged: ' + row[0].replace('run/', '')))
    for row in _FUZZED])
def test_what_reads_a_data_set(made, outside, tmp_path, monkeypatch, name, kind, packing, change, tries, may_differ):
  monkeypatch.setattr(lost_records, 'MOST_LOST', 0.02)  # of a small data set
  folder, run = str(tmp_path / 'data'), str(tmp_path / 'run')
  shutil.copytree(made[kind], folder)
  os.mkdir(run)
  info = contract.DatasetInfo.load(folder)
  if 'npz' in name:
    for path in info.paths('train'):
      os.remove(contract.lengths_file(path))
  expected = _what_is_read(folder, packing, run)
  lost_records.LostRecords(info, run)._append(info.shards['train'][0].file, [3], 'test')
  path = sorted(glob.glob(os.path.join(run if 'run/' in name else folder, os.path.basename(name))))[0]
  with open(path, 'rb') as source:
    content = source.read()
  generator, told = random.Random(SEED), 0
  for _ in range(tries * KILLS):
    changed = change(content, generator)
    with open(path, 'wb') as target:
      target.write(changed)
    outcome = _outcome(_what_is_read, folder, packing, run)
    told += outcome is None
    assert outcome in (None, expected) or may_differ, changed
  if name == 'dataset.json' and not may_differ:
    assert told > 0.5 * tries * KILLS
  if name.startswith('run/'):
    assert not told, 'a run goes on without its lists'


@pytest.mark.fault('forged: dataset.json, then the data tool')
def test_the_data_tool_on_a_finished_data_set(made, text, outside, tmp_path):
  folder = str(tmp_path / 'data')
  expected = small_corpus.contents(made['reference'])
  generator = random.Random(SEED)
  for number in range(4 * KILLS):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made['reference'], folder)
    change = generator.choice((_bytes_changed, _values_changed))
    with open(os.path.join(folder, 'dataset.json'), 'wb') as target:
      target.write(change(expected['dataset.json'], generator))
    force = number % 4 == 0
    outcome = _outcome(small_corpus.create, folder, text, force)
    assert outcome is None or force or not outcome.created
    if force:
      contents = small_corpus.contents(folder)
      assert {name: contents.get(name) for name in expected} == expected


@pytest.fixture(scope='module')
def unfinished(text, tmp_path_factory):
  """The folder of a data set, interrupted before its shards were written."""
  folder = str(tmp_path_factory.mktemp('unfinished') / 'd')

  def fail(*unused):
    raise OSError(28, 'No space left on device')
  write, stages.write_shard = stages.write_shard, fail
  try:
    with pytest.raises(UserError):
      small_corpus.create(folder, text)
  finally:
    stages.write_shard = write
  return folder


class _NoEngine:
  """Nothing is made again."""

  def run(self, function, tasks):
    return iter(())


def _kept(folder, fingerprint, names):
  """{name: result as JSON} of what is taken for finished."""
  kept = kept_results.KeptResults(folder, fingerprint)
  try:
    return {names[number]: json.dumps(kept_results.encode(result, folder))
            for number, result in kept.run(_NoEngine(), None, [(name, ()) for name in names])}
  finally:
    kept.close(remove=False)


@pytest.mark.fault('forged: .unfinished')
def test_results_of_unfinished_work(unfinished, outside, tmp_path):
  folder = str(tmp_path / 'w')
  shutil.copytree(os.path.join(unfinished, data_set.WORK_FOLDER), folder)
  with open(os.path.join(folder, 'fingerprint')) as source:
    fingerprint = source.read()
  names = sorted(name[:-len('.result')] for name in os.listdir(folder) if name.endswith('.result'))
  expected = _kept(folder, fingerprint, names)
  assert sorted(expected) == names
  generator = random.Random(SEED)
  fuzzed = sorted(name for name in os.listdir(folder) if os.path.getsize(os.path.join(folder, name))
                  and name not in ('lock', 'fingerprint'))
  for number in range(60 * KILLS):
    path = os.path.join(folder, fuzzed[number % len(fuzzed)])
    with open(path, 'rb') as source:
      content = source.read()
    changed = _bytes_changed(content, generator)
    with open(path, 'wb') as target:
      target.write(changed)
    outcome = _outcome(_kept, folder, fingerprint, names)
    assert all(expected[name] == result for name, result in outcome.items())
    if changed != content:
      assert len(outcome) == len(names) - 1, path
    with open(path, 'wb') as target:
      target.write(content)


@pytest.mark.fault('forged: .unfinished, then the data tool')
def test_damaged_unfinished_work_gives_the_data_set_that_it_would_have_given(
    unfinished, made, text, outside, tmp_path):
  folder = str(tmp_path / 'd')
  expected = small_corpus.contents(made['reference'])
  generator = random.Random(SEED)
  for _ in range(2 * KILLS):
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(unfinished, folder)
    work = os.path.join(folder, data_set.WORK_FOLDER)
    for name in generator.sample(sorted(os.listdir(work)), 2):
      path = os.path.join(work, name)
      with open(path, 'rb') as source:
        content = source.read()
      os.remove(path)
      plant = generator.randrange(6)
      if plant == 0:
        os.symlink(str(outside / 'victim'), path)
      elif plant == 1:
        os.mkfifo(path)
      elif plant > 2:
        with open(path, 'wb') as target:
          target.write(_bytes_changed(content, generator))
    assert _outcome(small_corpus.create, folder, text).created
    assert small_corpus.contents(folder) == expected


def _what_a_run_says(out):
  """What is read of the small files of a run: (newest good checkpoint, settings, windows left out)."""
  state = run_state.RunState(out)
  best, _ = Best(out, Pretraining.criterion).read()
  assert best is None or os.path.dirname(best) == os.path.join(out, 'best')
  results.read(out)
  for name, columns in ((names.LOSS_HISTORY_FILE, Pretraining.loss_columns),
                        (names.HELDOUT_HISTORY_FILE, Pretraining.heldout_columns)):
    results.History(out, name, columns).steps()
  latest = checkpoints.latest(out)
  assert latest is None or os.path.dirname(latest) == out
  return os.path.basename(checkpoints.newest_good(out)), state.settings, state.skipped_windows


_OF_A_RUN = ('results.json', 'run_state.json', 'loss_history.tsv', 'heldout_history.tsv', 'checkpoint', 'run.lock',
             'best/best.json', 'best/checkpoint')
_MANIFESTS = ('model.ckpt-12.manifest.json', 'model.ckpt-8.manifest.json')


@pytest.mark.parametrize('name', _OF_A_RUN + _MANIFESTS)
@pytest.mark.fault('forged: small files of a run')
def test_what_reads_a_run(uninterrupted, outside, tmp_path, name):
  out = str(tmp_path / 'out')
  shutil.copytree(str(uninterrupted[2]), out)
  expected = _what_a_run_says(out)
  path = os.path.join(out, name)
  with open(path, 'rb') as source:
    content = source.read() or b'{"host": "a", "pid": 3}'
  generator = random.Random(SEED)
  for _ in range(30 * KILLS):
    with open(path, 'wb') as target:
      target.write(_bytes_changed(content, generator))
    outcome = _outcome(_what_a_run_says, out)
    assert outcome is not None and outcome[1:] == expected[1:]
    assert outcome[0] == expected[0] or (name, outcome[0]) == (_MANIFESTS[0], 'model.ckpt-8')


@pytest.mark.parametrize('number', range(KILLS // 10))
@pytest.mark.fault('forged: small files of a run, then the run')
def test_a_run_goes_on_with_forged_files(fault_server, fault_data, uninterrupted, outside, tmp_path, number):
  """Stopped after step 6, two files changed, then finished: with the weights that it would have had."""
  expected, out, generator = uninterrupted[0], tmp_path / 'out', random.Random(SEED + number)
  assert fault_server.run(fault_data, out, faults=[('signal_after_step', 6, 'SIGTERM')]).code not in (0, 1)
  for name in generator.sample(_OF_A_RUN, 2):
    (out / name).write_bytes(_bytes_changed((out / name).read_bytes() or b'{"host": "a", "pid": 3}', generator))
  resumed = fault_server.run(fault_data, out)
  assert resumed.code == 0 and 'Traceback' not in resumed.log, resumed.log
  assert not {'weights', 'newest', 'position and counters'} & set(fault_runs.different(
      expected, fault_runs.snapshot(out)))


@pytest.mark.parametrize('number', range(KILLS // 10))
@pytest.mark.fault('forged: what a run keeps of its data')
def test_a_run_goes_on_with_forged_lists(fault_server, fault_data, uninterrupted, tmp_path, number):
  """Stopped after step 6, then changed, then finished: as if nothing had been."""
  expected, out, generator = uninterrupted[0], tmp_path / 'out', random.Random(SEED + number)
  assert fault_server.run(fault_data, out, faults=[('signal_after_step', 6, 'SIGTERM')]).code not in (0, 1)
  for name in (lost_records.LOST_RECORDS_FILE, lost_records.CHECKED_RECORDS_FILE):
    if (out / name).exists():
      (out / name).write_bytes(_bytes_changed((out / name).read_bytes(), generator))
  resumed = fault_server.run(fault_data, out)
  assert resumed.code == 0 and 'Traceback' not in resumed.log, resumed.log
  left = fault_runs.snapshot(out)
  assert [part for part in fault_runs.different(expected, left) if part != 'lost records'] == []
