"""Runs: as lists of scores, as a folder, and read again."""
