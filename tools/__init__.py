"""Programs around the library: text to records, vocabulary, inspection, checkpoints, benchmarks."""
