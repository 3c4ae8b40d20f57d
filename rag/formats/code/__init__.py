"""Source code, by function."""
