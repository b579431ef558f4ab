"""What a run reports on its way: progress, what is left, what it is doing."""
