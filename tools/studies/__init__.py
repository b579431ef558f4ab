"""What `make study` is made of: a table of runs, carried out one after the other, compared and drawn. No TensorFlow."""
