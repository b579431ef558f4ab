"""What can go wrong, put into a process that is going to train. fault_server.py calls these in its child."""

import ctypes
import errno
import functools
import os
import resource
import shutil
import signal
import threading

import numpy as np
import tensorflow as tf

import label_count
from albert.common import files
from albert.dataset import data_order
from albert.dataset import lost_records
from albert.device import memory
from albert.model import layers
from albert import pretraining
from albert.run.logs import event_files
from albert.run import names
from albert.run import results
from albert.run import run
from albert.run import run_state
from albert.run import saver
from albert.training import resources
from albert.training.stability import guard
from albert.training.stability import spikes
from albert.training import stop_hooks
from albert.training import stopping
from albert.training.telling import progress
from albert.training import trainer


def _wrap(owner, name, before=None, after=None):
  """Calls before(*arguments) and after(*arguments) around a function."""
  function = getattr(owner, name)

  @functools.wraps(function)
  def wrapped(*args, **kwargs):
    if before:
      before(*args)
    result = function(*args, **kwargs)
    if after:
      after(*args)
    return result
  setattr(owner, name, wrapped)


def _after_step(step, action):
  def acted(hook, context, values):
    if int(values.results['step']) == step:
      action()
  _wrap(progress.ProgressHook, 'after_run', after=acted)


def _before_saving(step, action):
  """action(session)."""
  _wrap(saver.SaverHook, '_save', before=lambda hook, session, at: at == step and action(session))


# Another task.

def other_task():
  """The run is of the task in test/support/label_count.py."""
  pretraining.Options.task = lambda options: label_count.LabelCount


# Being told to stop.

def signal_after_step(step, name):
  """A signal, between two steps."""
  _after_step(step, lambda: _send(name))


def signal_within_step(step, name):
  """A signal while a step is computed."""
  _wrap(stop_hooks.StepHook, 'before_run', after=lambda hook, *unused: hook._step + 1 == step and _send(name))


def signal_in_evaluation(name):
  """A signal in the first evaluation."""
  sent = []
  _wrap(stopping.Stopper, 'check', before=lambda *unused: sent or sent.append(_send(name)))


def signal_while_saving(name):
  """Another signal, when the first one has led to saving."""
  _wrap(saver.SaverHook, 'end', before=lambda *unused: _send(name))


def _send(name):
  """Sends it to this process and waits until it has come."""
  came = threading.Event()
  method = 'receive_save' if name == stopping.SAVE_SIGNAL.name else 'receive'
  receive = getattr(stopping.Stopper, method)

  def received(*arguments):
    receive(*arguments)
    came.set()
  setattr(stopping.Stopper, method, received)
  os.kill(os.getpid(), getattr(signal, name))
  came.wait()


# Death at a place.

def flush_events():
  """Event files are written after each step, not every two minutes."""
  _wrap(progress.ProgressHook, 'after_run',
        after=lambda hook, *unused: tf.summary.FileWriterCache.get(hook._writer.get_logdir()).flush())


def kill_after_step(step):
  """SIGKILL between two steps."""
  _after_step(step, _die)


def kill_before_heldout_history(step):
  """SIGKILL when an evaluation is finished, but its line not yet written."""
  _wrap(results.History, 'add', before=lambda added, at, values: (
      at == step and added._path.endswith(names.HELDOUT_HISTORY_FILE) and _die()))


def kill_before_retaining(step):
  """SIGKILL when a checkpoint is there, but those that are too many not yet removed."""
  _wrap(trainer.Trainer, '_saved', before=lambda made, checkpoint, at: at == step and _die())


# Between two phases a run goes back to the checkpoint that it has just made, and builds another graph.
_CALLS = {'going back': (run.Run, 'go_back'), 'restoring': (run.Run, '_restore'),
          'building': (trainer.Trainer, '_initialise'), 'ending': (trainer.Trainer, '_goes_on')}


def kill_at_call(name, number):
  """SIGKILL before the call of this number, from 1, of one of _CALLS."""
  made = []

  def count(*unused):
    made.append(name)
    if len(made) == number:
      _die()
  _wrap(*_CALLS[name], before=count)


def kill_before_skipping():
  """SIGKILL when a loss spike was found, but not yet noted."""
  _wrap(run_state.RunState, 'skip_window', before=lambda *unused: _die())


def _die():
  os.kill(os.getpid(), signal.SIGKILL)


# Numbers.

def few_seen():
  """Three losses are enough to know a spike."""
  spikes.SpikeDetector.LEAST_SEEN = 3


def spike_at(record):
  """The step that uses the training records from position `record` on has a hundred times its loss."""
  few_seen()

  def raised(hook, context, values):
    if hook._position.used == record:
      values.results['loss'] = 100 * values.results['loss']
  _wrap(guard.GuardHook, 'after_run', before=raised)


def bad_weight_before_saving(step):
  """A weight that is not finite, as a broken card makes it."""
  def load(session):
    variable = tf.trainable_variables()[0]
    variable.load(np.full(variable.shape.as_list(), np.nan, np.float32), session)
  _before_saving(step, load)


# Disks.

def full_disk_in_checkpoint(step):
  """No file may get larger than 4,000 bytes once this checkpoint is begun: TensorFlow's own writer fails."""
  _before_saving(step, lambda session: resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY)))


def full_disk_in_manifest(step):
  """The manifest gets to the disk by half, when all other files of a checkpoint are written."""
  def fail(path, text):
    if 'model.ckpt-{}.manifest'.format(step) in path:
      with open(path, 'w', encoding='utf-8') as target:
        target.write(text[:100])
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
  _wrap(files, 'write_synced', before=fail)


def full_disk_in_events(step):
  """After a step, event files may grow by 20 bytes: not by one event."""
  def limit():
    writer = event_files.writer(made.folder)
    writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag=' ' * (1 << 23))]), step)
    writer.flush()
    size = os.path.getsize(event_files._paths(made.folder)[-1])  # the file of this process; nothing else is as large
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, resource.RLIM_INFINITY))
  made = _Made()
  _after_step(step, limit)


def full_disk_in_history(step):
  """The line of a step gets to the disk by half."""
  def write_half(added, at, values):
    if at == step:
      with open(added._path, 'a', encoding='utf-8') as target:
        target.write('{}\t1.2'.format(step))
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), added._path)
  _wrap(results.History, 'add', before=write_half)


def full_disk_in_best(step):
  """No room for the copy of the best checkpoint."""
  def fail(source, target):
    if '{0}best{0}'.format(os.sep) in target and '-{}.'.format(step) in target:
      with open(target + '.tmp', 'w') as half:
        half.write('half')
      raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), target)
  _wrap(shutil, 'copyfile', before=lambda source, target: fail(source, target[:-len('.tmp')]))


def obey_permissions():
  """Permissions are for this process too, if it is root's: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH are given up."""
  header = (ctypes.c_uint32 * 2)(0x20080522, 0)
  data = (ctypes.c_uint32 * 6)()
  libc = ctypes.CDLL(None, use_errno=True)
  if libc.capget(header, data) == 0:
    for index in (0, 1):  # effective, permitted
      data[index] &= ~0b110
    libc.capset(header, data)


def read_only_after_step(step, folder):
  """The folder cannot be written any more."""
  _after_step(step, lambda: os.chmod(folder, 0o555))


def vanish_after_step(step, folder):
  """The folder is gone."""
  _after_step(step, lambda: shutil.rmtree(folder))


# Another machine.

def machine(processors=None, micro_batch_size=None):
  """A machine with so many processors, and with memory for such micro-batches."""
  if processors:
    os.sched_getaffinity = lambda pid: set(range(processors))
  if micro_batch_size:
    memory.choose_micro_batch_size = lambda *unused, **also_unused: micro_batch_size


# A resumed run that does not restore something. test/faults/resume_test.py proves that the comparison sees each.

def forget_variables(ending):
  """Variables whose name ends so have their first value again, not the checkpoint's."""
  def forget(saver, session, path):
    with session.graph.as_default():
      if tf.get_collection(tf.GraphKeys.TRAIN_OP):  # not in evaluation
        session.run([variable.initializer for variable in tf.global_variables() if variable.op.name.endswith(ending)])
  _wrap(tf.train.Saver, 'restore', after=forget)


def forget_of_guard(name):
  """The guard has the value of a new run: of an attribute, or 'mean' and 'seen' of its spike detector."""
  def forget(restored, state):
    if hasattr(restored, name):
      setattr(restored, name, 0)
    else:
      restored.spikes.restore(dict(restored.spikes.state(), **{name: 0}))
  _wrap(guard.Guard, 'restore', after=forget)


def forget_position():
  """The data is read from its beginning."""
  def forget(position, *unused):
    position.used = 0
  _wrap(data_order.Position, 'restore', after=forget)


def forget_dropout_step(start):
  """Dropout counts the steps of this process instead of those of the run."""
  make = layers.StatelessDropout.__init__
  layers.StatelessDropout.__init__ = lambda self, seed, step, *rest: make(self, seed, step - start, *rest)


def forget_to_rewind(what):
  """What a killed run has written after its last checkpoint stays: a History's file, or a folder of event files."""
  if what.endswith('.tsv'):
    forget_after = results.History.forget_after
    results.History.forget_after = lambda self, step: self._path.endswith(what) or forget_after(self, step)
  else:
    rewind = event_files.rewind
    event_files.rewind = lambda folder, keep: folder.endswith(what) or rewind(folder, keep)


def forget_file(path):
  """A file of the run is not there."""
  os.remove(path)


def forget_figures_of_training():
  """The figures that the manifest keeps of training are not taken over."""
  def forget(restored, manifest):
    restored.figures = {}
  _wrap(run.Run, '_restore', after=forget)


def forget_lost_records():
  """lost_records.tsv is not read."""
  lost_records.LostRecords._load = lambda self: None


def forget_skipped_windows():
  """run_state.json says nothing of data that is to be left out."""
  _wrap(run_state.RunState, '__init__', after=lambda state, *unused: state.skipped_windows.clear())


def forget_recorded(*names):
  """These settings are chosen again, as for a new run."""
  class Forgetful(run_state.RunState):
    """For planning alone; what a run compares stays what it was."""

    def __init__(self, *args, **kwargs):
      super().__init__(*args, **kwargs)
      self.settings = {name: value for name, value in self.settings.items() if name not in names}

  resources.RunState = Forgetful


class _Made:
  """Learns the folder of the run."""

  def __init__(self):
    def learn(made, folder, *unused):
      self.folder = folder
    _wrap(run.Run, '__init__', after=learn)
