"""Measurements too long for the tests; `make bench` and `make calibrate` run them."""
