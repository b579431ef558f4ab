"""What a fine-tuned model says: predictions of text, figures of labelled text, what is told when a run has ended."""
