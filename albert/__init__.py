"""Pre-training of Chinese ALBERT: the library. Programs around it live in `tools/`."""
