"""What a query may do: limits, and the process that confines other people's SQL."""
