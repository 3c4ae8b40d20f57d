"""Runs and comparisons as pages, Markdown and LaTeX."""
