"""The report as a site: pages, their templates and the command `headswap report`."""
