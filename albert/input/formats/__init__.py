"""Each format of records to batches, in TensorFlow: masks of compact records, rows of several examples."""
