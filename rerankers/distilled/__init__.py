"""Scorers taught by slower ones."""
