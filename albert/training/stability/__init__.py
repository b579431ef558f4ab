"""Watching the numbers of a run: updates that are not finite, spikes of the loss."""
