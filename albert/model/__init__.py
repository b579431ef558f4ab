"""The parts of the encoder; its front room is albert/modeling.py."""
