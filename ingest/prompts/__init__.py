"""Prompts: files of records in, sequences of tokens out."""
