"""Measurements for tools.benchmark, and of data creation and input."""
