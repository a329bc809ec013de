"""Datasets on their way to other people and back: pushed to the hub, pulled from it."""
