"""Files of labelled text: which layout one has, and its examples one by one. No TensorFlow."""
