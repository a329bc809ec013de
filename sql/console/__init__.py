"""The commands over a dataset: sql, views, check, verify, and the prompt."""
