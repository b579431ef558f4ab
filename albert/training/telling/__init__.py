"""What a run tells on its way: progress, what is left, what it is doing."""
