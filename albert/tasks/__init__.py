"""Tasks: a task brings losses, figures, outputs, and which of two figures is better."""
