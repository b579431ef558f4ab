"""TensorBoard on the folder of a run: checks folder, host and port, says the address, then starts it.

  python -m tools.tensorboard --logdir=out
"""

import os
import re
import socket
import sys

from absl import flags

from albert.common import cli
from albert.common.errors import UserError

FLAGS = flags.FLAGS

# Starts TensorBoard. Each start of a run writes its graph, and TensorBoard would warn of each time, a line or two, that
# it shows the newest.
START = """import logging
logging.getLogger('tensorboard').addFilter(lambda record: 'Found more than one' not in str(record.msg))
from tensorboard import main
main.run_main()"""


def define_flags():
  flags.DEFINE_string('logdir', 'out', 'Folder of a run, or of several.')
  flags.DEFINE_string('host', 'localhost', 'Interface to listen on; 0.0.0.0 shows it to whoever reaches this machine.')
  # A string: absl would answer to "x" with its own words.
  flags.DEFINE_string('port', '6006', 'Port, 1 to 65535.')


def check_folder(path):
  """Raises UserError unless TensorBoard can read the folder."""
  if not os.path.isdir(path):
    raise UserError('{}: expected the folder of a run, found {}; train one first (make train-full), or name it: '
                    'OUT=...'.format(path, 'a file' if os.path.exists(path) else 'none'))
  if ',' in os.path.abspath(path):
    raise UserError('{}: expected a path without a comma, where TensorBoard divides paths, found one; reach the folder '
                    'under another name (ln -s)'.format(os.path.abspath(path)))


def check_address(host, port):
  """Raises UserError unless somebody may listen at a host and port now.

  Args:
    host: str, name or address of an interface of this machine.
    port: str.

  Returns:
    int, the port.
  """
  if not re.fullmatch('[0-9]{1,5}', port) or not 0 < int(port) < 65536:
    raise UserError('PORT: expected a number from 1 to 65535, found {!r}; leave it out for 6006'.format(port))
  try:
    # As TensorBoard's server does it: IPv6 only for an address that says so.
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
      probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
      probe.bind((host, int(port)))
  except (OSError, UnicodeError) as error:  # UnicodeError: of a name that no host can have
    raise UserError('expected to listen on {} port {}, found "{}"; name another: PORT=..., HOST=...'.format(
        host or "''", port, getattr(error, 'strerror', None) or error))
  return int(port)


def main(argv):
  """Replaces this process by TensorBoard."""
  cli.no_positional_arguments(argv)
  check_folder(FLAGS.logdir)
  if not FLAGS.host:
    raise UserError('HOST: expected the name of an interface, found nothing, which would mean all of them; write '
                    'HOST=0.0.0.0 for that')
  port = check_address(FLAGS.host, FLAGS.port)
  every = FLAGS.host in ('0.0.0.0', '::')
  shown = socket.gethostname() if every else '[{}]'.format(FLAGS.host) if ':' in FLAGS.host else FLAGS.host
  print('TensorBoard on {}: http://{}:{}/{} (Ctrl-C ends it)'.format(
      FLAGS.logdir, shown, port, ', for everybody who reaches this machine' if every else ''), flush=True)
  # The absolute path: TensorBoard takes what is before a ":" in another one for a name.
  os.execv(sys.executable, [sys.executable, '-W', 'ignore::FutureWarning', '-c', START, '--logdir',
                            os.path.abspath(FLAGS.logdir), '--host', FLAGS.host, '--port', str(port)])


if __name__ == '__main__':
  define_flags()
  cli.run(main)
