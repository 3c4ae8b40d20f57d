"""Pipelines as parts of other frameworks."""
