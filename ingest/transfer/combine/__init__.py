"""Datasets made of datasets: shards merged into one, a part extracted from one."""
