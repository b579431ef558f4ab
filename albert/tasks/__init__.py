"""What is learned: a task brings losses, figures, outputs and what is better."""
