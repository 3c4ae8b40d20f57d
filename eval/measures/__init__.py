"""Measures of rankings and answers, with intervals."""
