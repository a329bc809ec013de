"""Measurements too long for the tests; `make bench` runs them."""
