"""Judges of answers, and how far they agree."""
