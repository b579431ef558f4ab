"""Folders of Hugging Face's transformers, read and written without it."""
