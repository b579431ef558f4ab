"""Figures of what was predicted against what is right. No TensorFlow."""
