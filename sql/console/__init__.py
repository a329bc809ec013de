"""The commands over a dataset: sql, views, verify, claims, and the prompt."""
