"""The tables that a dataset file names."""
