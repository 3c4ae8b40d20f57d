"""Runs as scores, as folders, and read from files."""
