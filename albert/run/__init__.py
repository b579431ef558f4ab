"""One run's folder: what it remembers, and going on."""
