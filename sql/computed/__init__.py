"""Relations that SQL cannot compute: random draws and assignments."""
