"""Files that are complete or absent, whatever happens while they are written; names and files that are what they seem.

What a small file of a run or a data set says about other files is data, which may be forged or damaged: it may name
files of its own folder only (inside()), and a file may be a pipe, a device or a link that was planted.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat

from albert.common.errors import UserError

# The folder that holds albert/, tools/, gin/ and the Makefile.
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# What the name of a file ends with while it is being written.
TEMPORARY = '.tmp'

_KINDS = ((stat.S_ISDIR, 'a folder'), (stat.S_ISFIFO, 'a pipe'), (stat.S_ISCHR, 'a device'), (stat.S_ISBLK, 'a device'),
          (stat.S_ISSOCK, 'a socket'))


def is_plain_name(name):
  """Whether `name` is a str that names a file in a folder, wherever that is: no path, no control character."""
  try:
    return (isinstance(name, str) and name not in ('', os.curdir, os.pardir) and os.sep not in name
            and min(name) >= ' ' and bool(os.fsencode(name)))
  except UnicodeEncodeError:
    return False


def inside(folder, name):
  """Path of the file of this name in a folder. `name`: as another file says.

  Raises:
    ValueError: it is no plain name, so that it may lead out of the folder.
  """
  if not is_plain_name(name):
    raise ValueError('expected the name of a file in this folder, found {!r:.80}'.format(name))
  return os.path.join(folder, name)


def shown(path):
  """A path as text for a person or a file in UTF-8: bytes of a name that are not UTF-8 are escaped, as in \\xce."""
  return path.encode('utf-8', 'surrogateescape').decode('utf-8', 'backslashreplace')


def found(error):
  """The reason why a file could not be opened or read, for "found ...". error: the exception."""
  # A link that leads nowhere is there.
  if isinstance(error, (FileNotFoundError, NotADirectoryError)) and not os.path.islink(error.filename or ''):
    return 'none'
  return 'one that cannot be read ({})'.format(getattr(error, 'strerror', None) or str(error) or type(error).__name__)


def open_regular(path):
  """Opens a file for reading that must be a regular one: a pipe would wait for ever, and a device has no end.

  Returns:
    A binary file object.

  Raises:
    OSError: it cannot be opened, or is another kind of file.
  """
  # Without O_NONBLOCK, opening a pipe waits for a writer; to a regular file it makes no difference.
  handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
  mode = os.fstat(handle).st_mode
  if stat.S_ISREG(mode):
    return os.fdopen(handle, 'rb')
  os.close(handle)
  raise OSError(errno.EINVAL, 'it is {} and no file'.format(next((kind for test, kind in _KINDS if test(mode)), '?')),
                path)


def read_small(path, most=1 << 26):
  """The bytes of a regular file that a person could read; raises OSError, also if it has more than `most` bytes."""
  with open_regular(path) as source:
    content = source.read(most + 1)
  if len(content) > most:
    raise OSError(errno.EFBIG, 'it has more than {:,} bytes'.format(most), path)
  return content


def file_sha256(path):
  """Hex SHA-256 of a regular file's bytes; raises OSError."""
  digest = hashlib.sha256()
  with open_regular(path) as source:
    for block in iter(lambda: source.read(1 << 20), b''):
      digest.update(block)
  return digest.hexdigest()


def sync(path):
  """Waits until a file, or the names in a folder, are on the disk."""
  handle = os.open(path, os.O_RDONLY)
  try:
    os.fsync(handle)
  finally:
    os.close(handle)


def create(path):
  """Makes an empty file, in place of what has the name: a link that was planted there is removed, not followed."""
  with contextlib.suppress(FileNotFoundError):
    os.unlink(path)
  os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))


def make_way(path, option):
  """Makes the folder of an output file, before the work begins whose result it is to hold.

  Args:
    path: str.
    option: what names it, such as OUTPUT.

  Raises:
    UserError: nothing can be written there.
  """
  obstacle, folder = None, os.path.dirname(os.path.abspath(path))
  try:
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(path):
      obstacle = 'a folder'
    elif not os.access(folder, os.W_OK):
      obstacle = 'a folder in which nothing may be written'
  except OSError as error:
    obstacle = 'that its folder cannot be made ({})'.format(error.strerror)
  if obstacle:
    raise UserError('{}: expected a file to write ({}), found {}; name another'.format(shown(path), option, obstacle))


def write_synced(path, text):
  """Writes a file and waits until its content is on the disk; until then the old file stays."""
  with _renamed_at_end(path, durable=False) as temporary:
    with open(temporary, 'w', encoding='utf-8') as target:
      target.write(text)
      _sync_open(target)


def _sync_open(target):
  target.flush()
  os.fsync(target.fileno())


@contextlib.contextmanager
def atomic(path, mode='w', durable=True):
  """Opens a file that appears under its name, complete, when the body of the `with` statement ends.

  Until then it is `path` + TEMPORARY, which is removed if the body raises; a kill may leave it behind. What was at
  `path` before stays until it is replaced.

  Args:
    path: str.
    mode: 'w' for text in UTF-8, 'wb' for bytes.
    durable: whether to wait until content and name are on the disk, so that a power failure spares them. False for
      many files in a row, where each wait costs milliseconds, if their reader notices what is incomplete.

  Yields:
    The open file.
  """
  with _renamed_at_end(path, durable) as temporary:
    with open(temporary, mode, encoding=None if 'b' in mode else 'utf-8') as target:
      yield target
      if durable:
        _sync_open(target)


@contextlib.contextmanager
def _renamed_at_end(path, durable):
  """Yields the name of a new file beside `path`, which is renamed to it if the body succeeds, else removed."""
  temporary = path + TEMPORARY
  create(temporary)
  try:
    yield temporary
    os.replace(temporary, path)
  except BaseException:
    remove(temporary)
    raise
  if durable:
    sync(os.path.dirname(path) or '.')


def write_atomically(path, text):
  """Writes a text file with `atomic`."""
  with atomic(path) as target:
    target.write(text)


def append_lines(path, lines, head):
  """Appends lines to a text file in UTF-8, which gets the line `head` first if it is new.

  A link or pipe that was planted there is replaced; an incomplete last line, which a kill has left, is ended.
  """
  if not os.path.lexists(path) or not stat.S_ISREG(os.lstat(path).st_mode):
    create(path)
  with open(path, 'a+b') as target:
    size = target.seek(0, os.SEEK_END)
    before = head + '\n' if not size else ''
    if size:
      target.seek(-1, os.SEEK_END)
      before = '' if target.read() == b'\n' else '\n'
    target.write((before + ''.join(line + '\n' for line in lines)).encode('utf-8'))


def copy_atomically(source, target, durable=True):
  """Copies a file as `atomic` writes one."""
  with _renamed_at_end(target, durable) as temporary:
    shutil.copyfile(source, temporary)
    if durable:
      sync(temporary)


def remove(path):
  """Removes a file if it is there and can be removed."""
  try:
    os.remove(path)
  except OSError:
    pass
