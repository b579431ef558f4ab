"""Records to batches, in TensorFlow."""
