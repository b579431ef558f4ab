"""What a fine-tuned model says: predictions of text, figures of labelled text, what is printed at the end of a run."""
