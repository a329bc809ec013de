"""What a dataset says of itself to people and to catalogues: its card and its metadata."""
