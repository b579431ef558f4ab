"""Nothing of ALBERT: errors, checks of options, files, the start of programs, gin settings. No TensorFlow."""
