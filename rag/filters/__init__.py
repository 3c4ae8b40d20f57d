"""Filters: stages that decide what is relevant enough to be returned."""
