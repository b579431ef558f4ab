"""Reports of a run on its way: progress, what is left, what it is doing."""
