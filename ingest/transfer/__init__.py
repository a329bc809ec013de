"""Datasets in and out: pushed and pulled, merged, extracted, imported from what others computed."""
