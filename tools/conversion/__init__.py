"""What tools.checkpoints is made of."""
