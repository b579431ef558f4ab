"""TensorBoard's files: what one start of a run has written there, the next one leaves."""

import tensorflow as tf

from albert.run.logs import event_files


def _add(folder, step):
  """As a start of a run: writes one value, in a file of its own."""
  event_files.renew_writers(folder)
  writer = event_files.writer(folder)
  writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag='loss', simple_value=step)]), step)
  tf.summary.FileWriterCache.clear()


def test_starts_within_a_second_write_files_of_their_own(tmp_path):
  for step in (1, 2, 3):
    _add(str(tmp_path), step)
  assert event_files.series(str(tmp_path)) == {'loss': [(1, 1.0), (2, 2.0), (3, 3.0)]}
  assert len(list(tmp_path.iterdir())) == 3
