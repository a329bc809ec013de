"""The graph of relations: what they read, the order in which they build, what is kept."""
