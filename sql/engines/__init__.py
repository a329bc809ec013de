"""The engines that relations are made and queries are run on: DuckDB, and Spark."""
