"""What the encoder is made of; its front room is albert/modeling.py."""
