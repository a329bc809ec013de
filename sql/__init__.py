"""The analyses: one view a .sql file in `views/`, and the Python that opens a dataset for them."""
