"""From text to records: what tools.create_pretraining_data is made of."""
