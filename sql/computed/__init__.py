"""Relations that SQL cannot compute: random draws, matrix products and exact tests, in NumPy."""
