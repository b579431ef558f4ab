"""What `tools.checkpoints export` is made of."""
