"""Attention that others computed becomes a dataset: arrays in files and in memory, tables."""
