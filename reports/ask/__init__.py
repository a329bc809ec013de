"""The page that answers questions: its engine, the rows that travel with it, what it shows."""
