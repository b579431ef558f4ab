"""From text to records: the parts of tools.create_pretraining_data."""
