"""Datasets in and out: merged, extracted, imported from what others computed."""
