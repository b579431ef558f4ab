"""Programs around the library: text to records, vocabulary, inspection, checkpoints, benchmarks."""

import albert  # noqa: F401, looks for a limit of address space before numpy is imported
