"""Comparing runs query by query."""
