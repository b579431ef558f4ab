"""A command seen from outside: started, killed at a time or at a change in its folder, and its folder compared.

Knows nothing of the code that it kills: a command line, signals, names of files, and TensorFlow's own formats.
"""

import collections
import ctypes
import json
import os
import re
import select
import signal
import struct
import subprocess
import sys
import time

import tensorflow as tf

from albert.common.files import ROOT

# at: fraction of an undisturbed run, of its seconds or of the changes that it makes in its folder. delay: seconds that
# the signal comes after that. whom: which process it goes to, ITSELF, ALL (with its children) or the number of a child.
Kill = collections.namedtuple('Kill', ['signal', 'of', 'at', 'delay', 'whom'])
ITSELF, ALL = 'itself', 'all'
# code: of the exit, negative for a signal. seconds: until the end, its children included. after_kill: of these, after
# the signal, None without one. changes: number of changes in the folder.
Ended = collections.namedtuple('Ended', ['code', 'seconds', 'after_kill', 'changes', 'said'])

# Longest that a run may take on a machine that has much else to do.
_SECONDS = 1200
# From <sys/inotify.h>.
_MODIFIED, _MOVED_TO, _CREATED, _DELETED, _CLOSED = 0x2, 0x80, 0x100, 0x200, 0x8
_OF_FOLDER = 0x40000000
_HEAD = struct.Struct('iIII')


class Changes:
  """Changes of files below a folder, as the kernel tells them: made, written to, renamed, removed."""

  def __init__(self, folder):
    self._libc = ctypes.CDLL(None, use_errno=True)
    self._handle = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert self._handle >= 0, os.strerror(ctypes.get_errno())
    self._folders = {}
    self.count = 0
    self._watch(folder)

  def _watch(self, folder):
    number = self._libc.inotify_add_watch(self._handle, os.fsencode(folder),
                                          _MODIFIED | _MOVED_TO | _CREATED | _DELETED | _CLOSED)
    if number >= 0:  # a temporary folder may be gone again
      self._folders[number] = folder

  def wait(self, seconds):
    """Counts what changes, for as long at most; returns after the first changes."""
    if not select.select([self._handle], [], [], seconds)[0]:
      return
    content, place = os.read(self._handle, 1 << 16), 0
    while place < len(content):
      folder, mask, _, size = _HEAD.unpack_from(content, place)
      name = content[place + _HEAD.size:place + _HEAD.size + size].rstrip(b'\0')
      place += _HEAD.size + size
      self.count += 1
      if mask & _OF_FOLDER and mask & _CREATED and folder in self._folders:
        self._watch(os.path.join(self._folders[folder], os.fsdecode(name)))

  def close(self):
    os.close(self._handle)


def run(words, out, kill=None, undisturbed=None):
  """Starts `python -m WORDS` and waits for its end, which a signal may hasten.

  Args:
    words: list of str.
    out: folder that it writes, whose changes count.
    kill: Kill, or None.
    undisturbed: Ended of a run that was not killed, which a Kill refers to.

  Returns:
    Ended.
  """
  os.makedirs(str(out), exist_ok=True)
  changes, log = Changes(str(out)), str(out) + '.log'
  with open(log, 'w+b') as said:
    started, killed, children = time.time(), None, []
    process = subprocess.Popen([sys.executable, '-W', 'ignore', '-m'] + words, cwd=ROOT, stdout=said, stderr=said,
                               stdin=subprocess.DEVNULL)
    try:
      while process.poll() is None or _living(children):
        assert time.time() - started < _SECONDS, 'a hang: ' + ' '.join(words)
        changes.wait(0.02)
        if kill and process.poll() is None and _is_due(kill, undisturbed, time.time() - started, changes.count):
          time.sleep(kill.delay)
          children, killed = _children(process.pid), time.time()
          _send(kill, process, children)
          kill = None
    finally:
      for left in _living(children):
        os.kill(left[0], signal.SIGKILL)
      if process.poll() is None:
        process.kill()
        process.wait()
      changes.close()
    said.seek(0)
    ended = time.time()
    return Ended(process.returncode, ended - started, killed and ended - killed, changes.count,
                 said.read().decode('utf-8'))


def _send(kill, process, children):
  """Sends a signal to whom it is for; to the process itself where it has not that many children yet."""
  if kill.whom == ALL:
    for pid, _ in children:
      os.kill(pid, kill.signal)
  if kill.whom in (ITSELF, ALL) or kill.whom >= len(children):
    process.send_signal(kill.signal)
  else:
    os.kill(children[kill.whom][0], kill.signal)


def _children(parent):
  """[(process, when it began)] of the children of a process that have not ended, in order."""
  found = [(_status(name), int(name)) for name in os.listdir('/proc') if name.isdigit()]
  return sorted((pid, status[1]) for status, pid in found if status and status[0] == parent)


def _living(children):
  """Those of _children() that live still; another process may have their number by now."""
  return [(pid, began) for pid, began in children if (_status(pid) or (None, None))[1] == began]


def _status(pid):
  """(parent, when it began) of a process; None if it has ended."""
  try:
    with open('/proc/{}/stat'.format(pid), encoding='utf-8', errors='replace') as source:
      state, parent, *others = source.read().rsplit(')', 1)[1].split()
    return None if state in 'ZX' else (int(parent), others[17])
  except OSError:
    return None


def _is_due(kill, undisturbed, seconds, count):
  if kill.of == 'time':
    return seconds >= kill.at * undisturbed.seconds
  return count >= kill.at * undisturbed.changes


# What differs between two runs that were told the same: who wrote when, how fast, and the graph beside each checkpoint,
# where TensorFlow makes up names and orders.
_DIARIES = re.compile(r'(train\.log|command_line\.txt|run\.lock|operative_config-\d+\.gin|\.meta)$')
_EVENTS = re.compile(r'events\.out\.tfevents\.[^/]*$')
_OF_THE_CLOCK = re.compile(r'second|wait_fraction|\.meta$')


def contents(folder):
  """{path in a folder: what it holds, without what the clock decides}. Event files of a folder count as one."""
  bytes_of = {}
  for parent, _, names in os.walk(str(folder)):
    events = []
    for name in sorted(names):
      path = os.path.join(parent, name)
      key = os.path.relpath(path, str(folder))
      if _EVENTS.search(name):
        events += _scalars(path)
      elif not _DIARIES.search(name):
        bytes_of[key] = _content(path)
    if events:
      bytes_of[os.path.relpath(os.path.join(parent, 'events'), str(folder))] = sorted(events)
  return bytes_of


def _content(path):
  with open(path, 'rb') as source:
    content = source.read()
  if not path.endswith('.json'):
    return content
  values = json.loads(content.decode('utf-8'))
  if path.endswith('.manifest.json'):
    del values['sha256']  # of the clock too
  return _without_clock(values)


def _without_clock(values):
  if isinstance(values, dict):
    return {name: _without_clock(value) for name, value in values.items() if not _OF_THE_CLOCK.search(name)}
  return values


def _scalars(path):
  """[(tag, step, value)] of an event file; raises where an event is not whole."""
  return [(value.tag, event.step, value.simple_value) for event in tf.compat.v1.train.summary_iterator(path)
          for value in event.summary.value
          if value.HasField('simple_value') and not value.tag.startswith('throughput/')]


def different(first, second):
  """Names of what two contents() differ in."""
  return sorted(name for name in set(first) | set(second) if first.get(name) != second.get(name))


def steps_lost(folder):
  """How many steps a killed run has to make again, as the files in its folder say."""
  steps = [int(match.group(1)) for match in map(re.compile(r'model\.ckpt-(\d+)\.manifest\.json$').match,
                                                os.listdir(str(folder))) if match]
  history = os.path.join(str(folder), 'loss_history.tsv')
  if not os.path.exists(history):
    return 0
  with open(history, encoding='utf-8') as source:
    made = [int(line.split('\t')[0]) for line in source if line.endswith('\n') and line[0].isdigit()]
  return max(0, max(made, default=0) - max(steps, default=0))
