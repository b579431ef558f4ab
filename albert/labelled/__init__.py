"""Labelled text: how a file is understood, and how it becomes token ids and comes back in characters. No TensorFlow."""
