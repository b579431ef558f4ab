"""TensorBoard's event files of a run: written once each, and where a run goes on, cut at that point."""

import errno
import glob
import logging
import os
import time

import tensorflow as tf

from albert.common import files
from albert.dataset import tfrecord
from albert.run import names

_LOG = logging.getLogger('albert')


def writer(folder, graph=None):
  """The tf.summary.FileWriter of a folder, the same one until tf.summary.FileWriterCache.clear().

  TensorFlow writes the default graph into a new one, twice, be it half built or another's; here it is `graph` or none.
  """
  with (graph or tf.Graph()).as_default():
    return tf.summary.FileWriterCache.get(folder)


def renew_writers(*folders):
  """Closes the writers of this process; the next ones of these folders make files of their own.

  TensorFlow names a file by the second in which it makes it, and would write over one of that name.
  """
  tf.summary.FileWriterCache.clear()
  while any(_paths(folder, names.EVENT_FILES.replace('*', '{}.*'.format(int(time.time())))) for folder in folders):
    time.sleep(0.01)


def rewind(folder, keep):
  """Cuts each event file of a folder at its first event that is not to be kept, or is not whole.

  Args:
    folder: where the files are; it need not exist.
    keep: callable(step) -> bool.
  """
  for path in _paths(folder):
    end = _end_of_kept(path, keep)
    if end < os.path.getsize(path):
      os.truncate(path, end)
      files.sync(path)


def mend(folder):
  """Cuts what is not whole, as a full disk leaves it, from the end of each event file of a folder."""
  try:
    rewind(folder, lambda step: True)
  except OSError as error:  # this is called when a run has failed: its own error is the one to report
    _LOG.warning('%s: event files may end in a damaged event (%s); the next start cuts it off', folder, error.strerror)


def sync(folder):
  """Waits until what was flushed to the event files of a folder is on the disk.

  Raises:
    OSError: an event is not whole. TensorFlow says nothing when it has no room for one, and goes on.
  """
  for path in _paths(folder):
    files.sync(path)
    if tfrecord.find_frames(path)[1]:
      raise OSError(errno.ENOSPC, 'an event that was not written to its end', path)


def _paths(folder, pattern=names.EVENT_FILES):
  return sorted(glob.glob(os.path.join(glob.escape(folder), pattern)))


def _end_of_kept(path, keep):
  offsets, _ = tfrecord.find_frames(path)
  file, end = tfrecord.ShardFile(path, len(offsets)), 0
  try:
    for index, offset in enumerate(offsets):
      event, _ = file.read(index)
      if offset != end or event is None or not keep(tf.Event.FromString(event).step):
        break
      end += len(event) + tfrecord.FRAME_BYTES
  finally:
    file.close()
  return end


def series(folder):
  """{tag: [(step, value)]} of the scalars in the event files of a folder, by step; what is damaged is left out.

  Where several starts have written a step, the last one counts.
  """
  by_tag = {}
  for path in _paths(folder):
    offsets, _ = tfrecord.find_frames(path)
    file = tfrecord.ShardFile(path, len(offsets))
    try:
      for index in range(len(offsets)):
        content, _ = file.read(index)
        event = tf.Event.FromString(content) if content is not None else tf.Event()
        for value in event.summary.value:
          if value.HasField('simple_value'):
            by_tag.setdefault(value.tag, {})[event.step] = value.simple_value
    finally:
      file.close()
  return {tag: sorted(values.items()) for tag, values in by_tag.items()}
