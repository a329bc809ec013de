"""What any stage may import: errors, files, text for terminals, progress."""
