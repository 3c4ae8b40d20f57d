"""Judges of answers, and the agreement between them."""
