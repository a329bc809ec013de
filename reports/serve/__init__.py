"""Live pages: the site of a dataset on loopback, its questions answered in the sandbox."""
