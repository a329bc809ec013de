"""What the rows of each stored table must keep, beyond their schema."""
