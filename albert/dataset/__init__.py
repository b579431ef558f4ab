"""The contract between the data tools and the library: records, dataset.json, order, tokens. No TensorFlow, no gin."""
