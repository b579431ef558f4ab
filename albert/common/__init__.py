"""Nothing of ALBERT, no TensorFlow: errors, checks of options, files, the start of programs, gin settings."""
