"""From text to a model's answers: what tools.fill_mask and tools.embed are made of."""
