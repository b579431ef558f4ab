"""Weights to start from, in whatever form they were published, as a folder that training takes.

What training takes is left alone. A folder of transformers is converted and an archive is unpacked, into OUT/init,
once: the same command finds it there when it is started again, and makes it again if a kill has left half of it or its
source has changed. One process of a machine does it while the others wait: several ranks start together.
"""

import collections
import contextlib
import fcntl
import fnmatch
import glob
import logging
import os
import shutil
import tarfile
import time
import zipfile
import zlib

from albert.common.errors import UserError
from albert.common import files
from albert.model import hugging_face
from albert.run import checkpoints
from albert.run import loading
from albert.run.names import SOURCE_FILE
from albert.run import run_files
from tools.conversion.hugging_face import folder
from tools.conversion import writing

# In the folder of the run.
NAME = 'init'
# What is unpacked of an archive, besides what a folder of transformers is made of.
_WANTED = ('*.index', '*.data-*-of-*', '*config*.json', '*vocab*.txt')
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)

_LOG = logging.getLogger('albert')


def ready(path, out):
  """Weights to start from as a path that training takes, which is made if need be.

  Args:
    path: of a checkpoint, a run, a release that was unpacked, a folder of transformers, or an archive of one of the
      last two.
    out: folder of the run. Nothing is made for a run that has checkpoints of its own, which it goes on from.

  Returns:
    `path` itself, or OUT/init.

  Raises:
    UserError: it cannot be converted or unpacked; nothing is left of it in this case.
  """
  is_archive = os.path.isfile(path) and path.lower().endswith(loading.TAR + loading.ZIP)
  if not is_archive and not hugging_face.is_folder(path):
    return path
  checkpoints.check_path('--output_dir (OUT)', out)
  made = os.path.join(out, NAME)
  with _alone_in(out):
    sources = {os.path.basename(source): files.file_sha256(source)
               for source in ([path] if is_archive else folder.files_of(path))}
    if _made_of(made) == sources:
      _LOG.info('%s: made of %s before', made, path)
    elif checkpoints.latest(out):
      return path
    else:
      _make_room(made)
      if is_archive:
        _unpack(path, made, sources)
      else:
        _convert(path, made)
  return made


@contextlib.contextmanager
def _alone_in(out):
  """Waits until no other process of this machine is in here."""
  try:
    os.makedirs(out, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
  except OSError as error:
    raise UserError('{}: expected an output folder that can be written, found {}; name another (OUT=...)'.format(
        out, error.strerror))
  try:
    with contextlib.suppress(OSError):  # a file system without locks
      fcntl.flock(handle, fcntl.LOCK_EX)
    yield
  finally:
    os.close(handle)


def _made_of(made):
  """{name of a file: SHA-256} of what a whole OUT/init was made of, or None."""
  note, _ = run_files.read_json(os.path.join(made, SOURCE_FILE), lambda value: isinstance(value, dict))
  if note is None:
    return None
  try:
    checkpoints.find(made)
  except UserError:
    return None
  return note.get('archive') or note.get('sha256')


def _make_room(made):
  """Removes what a killed or an other conversion left; what is nobody's conversion stays."""
  for left in glob.glob(glob.escape(made) + '.tmp-*'):
    shutil.rmtree(left, ignore_errors=True)
  if os.path.lexists(os.path.join(made, SOURCE_FILE)):
    _LOG.info('%s: not whole, or made of something else; made again', made)
    shutil.rmtree(made, ignore_errors=True)
  writing.check_new_folder(made)


def _convert(path, made):
  try:
    report = folder.read(path, made)
  except UserError as error:
    raise UserError('{}. Flags are for "python -m tools.checkpoints from-hf {} RUN", after which INIT=RUN'.format(
        error, path))
  _LOG.info('%s: a folder of transformers (%s), converted into %s: %d variables%s', path, report['class'], made,
            len(report['mapped']), ''.join('; ' + note for note in report['notes']))


def _unpack(path, made, sources):
  """An archive of a release or of a folder of transformers."""
  unpacked = '{}.tmp-unpacked-{}'.format(made, os.getpid())
  note = collections.OrderedDict([('time', time.strftime('%Y-%m-%d %H:%M:%S')), ('format', 'archive'),
                                  ('from', os.path.basename(path)), ('archive', sources)])
  try:
    os.makedirs(unpacked)
    extracted = _extract(path, unpacked)
    if hugging_face.is_folder(unpacked):
      _convert(unpacked, made)
      said, _ = run_files.read_json(os.path.join(made, SOURCE_FILE), lambda value: isinstance(value, dict))
      writing.write_json(os.path.join(made, SOURCE_FILE), dict(said, **note))
      return
    if len([name for name in extracted if name.endswith('.index')]) != 1:
      raise UserError('{}: expected one checkpoint or one folder of transformers in it, found {}; unpack it and name '
                      'what is meant'.format(path, ', '.join(sorted(extracted)[:5]) or 'neither'))
    writing.write_json(os.path.join(unpacked, SOURCE_FILE), note)
    os.rename(unpacked, made)
    _LOG.info('%s: unpacked into %s: %s', path, made, ', '.join(sorted(extracted)))
  except OSError as error:
    raise UserError('{}: expected to unpack {} there, found {}; make room or unpack it elsewhere and name the '
                    'folder'.format(made, path, error.strerror or error))
  finally:
    shutil.rmtree(unpacked, ignore_errors=True)


def _extract(path, target):
  """Unpacks the files that are wanted, without their folders. Returns their names."""
  extracted = set()
  try:
    with _opened(path) as (members, open_member):
      for member, name in members:
        name = os.path.basename(name)
        if not _is_wanted(name):
          continue
        if name in extracted:
          raise UserError('{}: expected one model in it, found two files {}; unpack it and name one '
                          'folder'.format(path, name))
        extracted.add(name)
        with open_member(member) as source, open(os.path.join(target, name), 'xb') as copy:
          shutil.copyfileobj(source, copy)
  except _DAMAGED as error:
    raise UserError('{}: expected an archive, found a damaged or a locked one ({}); download it again'.format(
        path, str(error).split('\n')[0] or type(error).__name__))
  return extracted


@contextlib.contextmanager
def _opened(path):
  """Yields ([(member, name)] of the regular files, function that opens a member)."""
  if path.lower().endswith(loading.ZIP):
    with zipfile.ZipFile(path) as archive:
      yield [(info, info.filename) for info in archive.infolist() if not info.is_dir()], archive.open
  else:
    with tarfile.open(path) as archive:
      yield [(info, info.name) for info in archive.getmembers() if info.isfile()], archive.extractfile


def _is_wanted(name):
  """Whether a file belongs to weights; macOS puts a second one beside each, whose name begins with a dot."""
  wanted = _WANTED + folder.FILES
  return not name.startswith('.') and any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted)
