"""Indexes: how the nearest vectors are found."""
