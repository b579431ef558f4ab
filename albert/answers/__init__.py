"""The answers of a fine-tuned model: predictions of text, figures of labelled text, the lines at the end of a run."""
