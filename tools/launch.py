r"""Starts a program in several processes of this machine that train together through Horovod, a card or a core each.

    bash tools/run.sh tools.launch --ranks=2 -- albert.run_pretraining --input_file=data/records --output_dir=out

`make train-full RANKS=2` is this. Where horovodrun ends all ranks five seconds after a signal, and with a traceback,
this hands the signal on and waits: the ranks stop after the same step, save, and the exit code is theirs. What rank 0
says is said; of the others, their warnings, and the error of the one that ended first.
"""

import os
import signal
import subprocess
import sys
import threading
import time

from absl import flags

from albert.common import cli
from albert.common.errors import RANKS_LOST_EXIT_CODE
from albert.common.errors import STOPPED_EXIT_CODE
from albert.common.errors import UserError
from albert.common import processes

FLAGS = flags.FLAGS

# Ranks that are left alone notice it by themselves, at the latest when gloo's 30 s are over. Where one has noticed that
# another does not answer, these are over.
_GRACE_SECONDS = 45.0
_GRACE_AFTER_SILENCE_SECONDS = 5.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)
_ENDED_AS_ASKED = (0, STOPPED_EXIT_CODE)
_ERROR = 'error: '


class Rank:
  """A process that was started.

  Attributes:
    process: subprocess.Popen.
    errors: list of str, the error lines of a rank that is not 0.
    is_silent: whether it was ended because others waited for it in vain.
  """

  def __init__(self, number, command, environ):
    """number: int. command: list of str. environ: dict, all of its environment."""
    self.number = number
    self.errors = []
    self.is_silent = False
    output = {} if number == 0 else {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
    # A session of its own: signals from the terminal come once, by way of the launcher.
    self.process = subprocess.Popen(command, env=environ, stdin=subprocess.DEVNULL, start_new_session=True,
                                    preexec_fn=_end_with_the_launcher, **output)
    self._reader = threading.Thread(target=self._read, daemon=True)
    if number:
      self._reader.start()

  def _read(self):
    for line in self.process.stdout:
      line = line.decode('utf-8', 'replace')
      if line.startswith(_ERROR):
        self.errors.append(line)
      else:
        sys.stderr.write('[rank {}] {}'.format(self.number, line))

  def finish(self):
    """Waits for the end, and for the last of its words."""
    self.process.wait()
    if self.number:
      self._reader.join(timeout=5.0)

  def send(self, number):
    """Sends a signal, unless it has ended."""
    if self.process.poll() is None:
      self.process.send_signal(number)

  def end(self):
    """Ends it at once, unless it has ended."""
    if self.process.poll() is None:
      self.is_silent = True
      self.process.kill()


def _end_with_the_launcher():
  processes.end_with_parent(signal.SIGTERM)


def start(ranks, command):
  """Starts the processes, which find each other through a server in this one.

  Args:
    ranks: int.
    command: list of str.

  Returns:
    list of Rank.
  """
  from horovod.runner.common.util import hosts
  from horovod.runner.gloo_run import create_run_env_vars
  from horovod.runner.gloo_run import create_slot_env_vars
  from horovod.runner.http.http_server import RendezvousServer

  places = hosts.get_host_assignments(hosts.parse_hosts('localhost:{}'.format(ranks)), ranks)
  server = RendezvousServer(0)
  port = server.start()
  server.init(places)
  shared = dict(os.environ, PYTHONUNBUFFERED='1', **{
      name: str(value) for name, value in create_run_env_vars('127.0.0.1', ['lo'], port).items()})
  return [Rank(place.rank, command, dict(shared, **create_slot_env_vars(place))) for place in places]


def watch(ranks, grace_seconds=_GRACE_SECONDS, after_silence_seconds=_GRACE_AFTER_SILENCE_SECONDS):
  """Waits until all have ended; ends those that stay behind when another one has failed.

  Args:
    ranks: list of Rank.
    grace_seconds: float, how long they may take.
    after_silence_seconds: float, how long where the one that failed says that another does not answer.

  Returns:
    The Rank that failed first, or None; one that did not answer has failed.
  """
  failed, deadline = None, None
  while any(rank.process.poll() is None for rank in ranks):
    ended = [rank for rank in ranks if rank.process.poll() not in (None,) + _ENDED_AS_ASKED]
    if ended and failed is None:
      # Of two that ended together, the one that does not merely say that the other is gone.
      failed = min(ended, key=lambda rank: rank.process.returncode == RANKS_LOST_EXIT_CODE)
      is_silence = failed.process.returncode == RANKS_LOST_EXIT_CODE
      deadline = time.monotonic() + (after_silence_seconds if is_silence else grace_seconds)
    if deadline is not None and time.monotonic() > deadline:
      for rank in ranks:
        rank.end()
    time.sleep(0.1)
  for rank in ranks:
    rank.finish()
  ended = [rank for rank in ranks if rank.process.returncode not in _ENDED_AS_ASKED]
  if failed is None or failed.process.returncode == RANKS_LOST_EXIT_CODE:
    failed = min(ended, key=lambda rank: rank.process.returncode == RANKS_LOST_EXIT_CODE, default=None)
  return failed


def report(ranks, failed):
  """Says why the ranks ended. failed: of watch(). Returns the exit code."""
  if failed is None:
    return max(rank.process.returncode for rank in ranks)
  code = failed.process.returncode
  if code < 0:
    raise RankEnded(failed.number, None if failed.is_silent else signal.Signals(-code).name)
  # Rank 0 has said its own error, and where the input is bad all have the same.
  if ranks[0].process.returncode in _ENDED_AS_ASKED + (RANKS_LOST_EXIT_CODE,) or ranks[0].process.returncode < 0:
    sys.stderr.write(''.join(failed.errors))
  return code


class RankEnded(UserError):
  """A rank was ended from outside, or did not answer."""

  exit_code = RANKS_LOST_EXIT_CODE

  def __init__(self, number, name):
    """number: int, of the rank. name: of the signal that ended it, None where it did not answer."""
    how = 'ended by {}'.format(name) if name else (
        'silent for longer than HOROVOD_GLOO_TIMEOUT_SECONDS (30 if unset), as one that is suspended is')
    super().__init__('expected ranks that run to their end, found rank {} {}{}; all have ended, and the same '
                     'command goes on from the newest checkpoint'.format(
                         number, how, ', as the kernel does when memory is short' if name == 'SIGKILL' else ''))


def _check(words):
  if not words:
    raise UserError('expected a program and its flags, found none; write them behind "--", as in: tools.launch '
                    '--ranks=2 -- albert.run_pretraining --output_dir=out')
  for name in ('HOROVOD_SIZE', 'RANK_SIZE'):
    if (os.environ.get(name) or '1') != '1':
      raise UserError('{}={}: expected one launcher, found the variables of another one; unset them, or leave out '
                      'RANKS'.format(name, os.environ[name]))
  try:
    import horovod.runner  # noqa: F401, asked whether it is there
  except ImportError:
    raise UserError('RANKS={}: expected Horovod in .venv, found none; install it with make env-horovod'.format(
        FLAGS.ranks))


def main(argv):
  _check(argv[1:])
  ranks = start(FLAGS.ranks, [sys.executable, '-W', 'ignore::FutureWarning', '-m'] + argv[1:])
  for number in _SIGNALS:
    if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
      signal.signal(number, lambda number, _: [rank.send(number) for rank in ranks])
  return report(ranks, watch(ranks))


if __name__ == '__main__':
  flags.DEFINE_integer('ranks', 2, 'processes that train together', lower_bound=1)
  cli.run(main)
