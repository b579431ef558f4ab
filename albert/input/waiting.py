"""How long a training step waits for its batch: from the moment it asks until the batch is there.

Two time stamps in the graph, one before the iterator is called and one after it has returned. Nothing that needs the
batch begins before the second, or it could come late behind a long operation that keeps the threads busy. Two scalars
a step: it costs some microseconds.
"""

import tensorflow as tf

# Its name among the tensors of a batch: float64 scalar, seconds.
WAIT = 'input_wait_seconds'


def timed_batch(dataset, clock=tf.timestamp):
  """A batch that an input_fn of tf.estimator may return instead of a dataset.

  Args:
    dataset: tf.data.Dataset of dicts of tensors.
    clock: function that makes a float64 scalar tensor, the time in seconds when it is evaluated.

  Returns:
    dict of the tensors of the next batch, and WAIT.
  """
  iterator = tf.compat.v1.data.make_initializable_iterator(dataset)
  # tf.estimator runs what is collected here before the first step, as it does for a dataset that it gets itself.
  tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
  with tf.name_scope('input_wait'):
    called = clock()
    with tf.control_dependencies([called]):
      batch = iterator.get_next()
    with tf.control_dependencies([batch[name].op for name in sorted(batch)]):
      returned = clock()
    with tf.control_dependencies([returned]):
      return dict({name: tf.identity(value) for name, value in batch.items()}, **{WAIT: returned - called})
