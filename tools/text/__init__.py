"""Reading, cleaning and dividing raw text."""
