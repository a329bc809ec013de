"""Datasets that lie elsewhere, read in ranges: on the hub, or in a folder on the web."""
