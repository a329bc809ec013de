"""What a stored table is, and the declarations of those that a dataset may lack."""
