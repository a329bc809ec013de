"""From SQL to what a page says: queries, dataclasses, sentences."""
