"""The loop: plan, step, trainer, and what watches it."""
