"""Models in: from a source that a user names to a model whose patterns can be captured."""
