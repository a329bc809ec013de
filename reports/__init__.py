"""Query results in, charts and pages out."""
